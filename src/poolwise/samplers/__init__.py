"""Samplers: a log density in, draws and a certificate out. They know nothing of models."""

from poolwise.samplers.automatic import sample
from poolwise.samplers.interface import Certificate, LogDensity, Sample, SamplerSettings, child_seeds

__all__ = ["Certificate", "LogDensity", "Sample", "SamplerSettings", "child_seeds", "sample"]
