"""Samplers: a log density in, draws and a certificate out. They know nothing of models."""

from poolwise.samplers.base import Certificate, LogDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.choose import sample

__all__ = ["Certificate", "LogDensity", "Sample", "SamplerSettings", "child_seeds", "sample"]
