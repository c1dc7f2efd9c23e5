"""`python -m bev_trainer` is the `bev-trainer` program."""

import sys

from bev_trainer.cli import main

sys.exit(main())
