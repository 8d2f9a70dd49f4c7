"""The trivial stages behind the plain sensor."""

from benchmarks.orchestration.plain import plain
from benchmarks.orchestration.trivial import definitions
from sensors.sweep import sweep

defs = definitions([plain, sweep])
