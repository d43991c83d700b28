"""What is measured, each kind in a module of its own."""

from benchmarks.measures.base import Figures, Measure, Needs, Plan, Sample, Subject
from benchmarks.measures.bulk import Bulk
from benchmarks.measures.burst import Burst
from benchmarks.measures.cold import Cold
from benchmarks.measures.cpu import Cpu
from benchmarks.measures.events import Events
from benchmarks.measures.latency import Latency
from benchmarks.measures.start import Start
from benchmarks.measures.streams import Streams
from benchmarks.measures.workers import Workers

__all__ = ["MEASURES", "Figures", "Measure", "Needs", "Plan", "Sample", "Subject"]

MEASURES: list[Measure] = [Cpu(), Latency(), Events(), Cold(), Burst(), Streams(), Bulk(), Start(), Workers()]
