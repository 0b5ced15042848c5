"""What a formula says, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One group term, `(effects | group)` or `(effects || group)`.

    Attributes
    ----------
    effects : the left side, itself an ordinary formula such as `1 + floor`.
    group : name of the grouping column.
    correlated : True for `|` (effects of a group are correlated), False for `||`.
    """

    effects: str
    group: str
    correlated: bool

    def __str__(self) -> str:
        return f"({self.effects} {'|' if self.correlated else '||'} {self.group})"


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    text : as the user wrote it.
    response : the left of `~`, for instance `log_radon` or `log(radon)`.
    common : the right side without its bars: the terms that all groups share.
    bars : the group terms, in order.
    """

    text: str
    response: str
    common: str
    bars: tuple[Bar, ...]

    def __str__(self) -> str:
        return " + ".join([f"{self.response} ~ {self.common}", *map(str, self.bars)])
