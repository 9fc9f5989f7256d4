"""`python -m kia` is `kia`."""

import sys

from kia.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
