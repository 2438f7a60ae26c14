"""`python -m tsgbench` is `tsgbench`."""

import sys

from tsgbench.cli.main import main

sys.exit(main())
