"""How long work may take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from poolwise.support.errors import SamplingError


@dataclass(frozen=True, slots=True)
class Deadline:
    """A limit on the wall time of work, counted from when it is made.

    Attributes
    ----------
    seconds : the limit; None for none.
    started : of `time.monotonic`.
    """

    seconds: float | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left; at least 0, inf without a limit."""
        return float("inf") if self.seconds is None else max(0.0, self.started + self.seconds - time.monotonic())

    def check(self) -> None:
        """Raise once the time is over. Work calls it between its batches.

        Raises
        ------
        SamplingError : what was stopped, when, and what to try.
        """
        if self.left > 0.0:
            return
        raise SamplingError(
            f"The fit was stopped after the time limit of {self.seconds:g} s. Raise time_limit, or ask for less: fewer "
            "draws, effects without correlations as in (x || g), or fewer rows."
        )
