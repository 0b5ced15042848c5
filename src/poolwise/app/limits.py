"""What a session may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may take.

    Attributes
    ----------
    megabytes, rows : of an upload.
    seconds : of one answer, and of all else that is asked.
    threads : of one answer.
    """

    megabytes: float = 50.0
    rows: int = 2_000_000
    seconds: float = 120.0
    threads: int = 2
