"""The book on paper and as an e-book: ``make pdf`` and ``make epub``.

Both are made of the finished pages in ``_build/html``, so that they hold what the site holds: the
same formulas, numbers, badges, figures. Chromium is parser, typesetter and printer. LaTeX would set
the same source a second time, in another notation for everything the page kit adds, and would need
a TeX distribution; one print of the whole site would need gigabytes and minutes for every change.
Here each page is printed by itself and kept until it changes; then all are put together, with the
links, the outline, the tags and the numbers of pages that only the whole has.
"""
