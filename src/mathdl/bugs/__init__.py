"""Planted mistakes, each with what it imitates and the diagnosis that a check must give."""
