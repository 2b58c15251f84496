"""The command line: ``python -m mathdl_book build | serve | clean | needs``."""

import sys

from .builder import main

if __name__ == "__main__":
    sys.exit(main())
