"""How long work says where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[str, float], None]


def silent(step: str, share: float) -> None:
    """Progress that nobody watches: `step` in words and the share done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Progress of reading rows: how many, how fast, and the time left.

    Attributes
    ----------
    report : who is told.
    step : what is read, in words.
    rows : how many there are, None where nobody knows.
    """

    report: Progress = silent
    step: str = "reading rows"
    rows: int | None = None
    started: float = field(default_factory=time.perf_counter)

    def at(self, share: float | None) -> None:
        """Say how far the scan is: a share from 0 to 1, or None where the engine does not tell."""
        if self.report is silent:
            return
        elapsed = time.perf_counter() - self.started
        if share is None or share <= 0.0:
            self.report(f"{self.step}: {elapsed:.0f} s so far", 0.0)
            return
        share = min(share, 1.0)
        left = f"{elapsed * (1.0 - share) / share:.0f} s left"
        if self.rows is None:
            self.report(f"{self.step}: {share:.0%}, {left}", share)
            return
        done = share * self.rows
        rate = done / max(elapsed, 1e-9)
        speed = f"{rate / 1e6:.1f} million" if rate >= 1e6 else f"{rate:,.0f}"
        self.report(f"{self.step}: {done:,.0f} of {self.rows:,} rows, {speed} rows/s, {left}", share)
