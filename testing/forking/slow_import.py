"""A code location whose import ends when the file exists that FINISH_IMPORT names."""

import os
import time
from pathlib import Path

from testing.forking.jobs import defs as defs

while not Path(os.environ["FINISH_IMPORT"]).exists():
    time.sleep(0.02)
