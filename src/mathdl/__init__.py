"""The mathematics of the book *Mathematics for Deep Learning*, in NumPy.

Nothing is imported here: pages say ``from mathdl import optim``, so that a page
depends on the modules that it names and on no others.
"""
