"""The trivial stages behind the plain sensor."""

from benchmarks.orchestration.plain import definitions
from benchmarks.orchestration.trivial import STAGES

defs = definitions(STAGES)
