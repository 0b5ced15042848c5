"""What a formula says, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One group term, `(effects | factor)` or `(effects || factor)`.

    Attributes
    ----------
    effects : the left side, itself an ordinary formula such as `1 + floor`.
    keys : grouping columns whose combinations are the levels of the factor; one for `(1 | a)`, two for `(1 | a:b)`.
    correlated : True for `|` (effects of a level are correlated), False for `||`.
    """

    effects: str
    keys: tuple[str, ...]
    correlated: bool

    @property
    def factor(self) -> str:
        """Name of the grouping factor, `a` or `a:b`."""
        return ":".join(self.keys)

    def __str__(self) -> str:
        return f"({self.effects} {'|' if self.correlated else '||'} {self.factor})"


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    text : as the user wrote it.
    response : the left of `~`, for instance `log_radon` or `log(radon)`.
    common : the right side without its bars and offsets: the terms that all groups share.
    bars : the group terms, in order; `(1 | a/b)` stands here as `(1 | a)` and `(1 | a:b)`.
    offsets : what stands inside each `offset(...)`: known parts of the linear predictor.
    """

    text: str
    response: str
    common: str
    bars: tuple[Bar, ...]
    offsets: tuple[str, ...] = ()

    def __str__(self) -> str:
        known = [f"offset({offset})" for offset in self.offsets]
        return " + ".join([f"{self.response} ~ {self.common}", *map(str, self.bars), *known])

    @property
    def keys(self) -> tuple[str, ...]:
        """Every grouping column once, in the order of first mention."""
        return tuple(dict.fromkeys(key for bar in self.bars for key in bar.keys))
