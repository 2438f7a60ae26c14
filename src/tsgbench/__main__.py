"""`python -m tsgbench` is `tsgbench`."""

import sys

from tsgbench.cli import main

sys.exit(main())
