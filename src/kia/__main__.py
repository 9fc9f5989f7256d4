"""`python -m kia` is `kia`."""

import sys

from kia.cli.main import main

sys.exit(main())
