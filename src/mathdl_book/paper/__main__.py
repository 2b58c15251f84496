"""``python -m mathdl_book.paper pdf``: make the book for paper, or as an e-book."""

import sys

from .making import main

if __name__ == "__main__":
    sys.exit(main())
