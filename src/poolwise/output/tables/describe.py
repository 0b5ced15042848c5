"""What a model is made of and what an evaluation costs."""

from __future__ import annotations

from poolwise.density.collapsed import CollapsedDensity
from poolwise.density.gaussian import GaussianDensity, gaussian
from poolwise.design.factors import Factor
from poolwise.inference.posterior import Pooling, Posterior

_FEW = 64  # effects


def _blocks(density: GaussianDensity, factors: tuple[Factor, ...]) -> list[str]:
    """One line for each factor in the order of elimination, and one for the root."""
    if isinstance(density, CollapsedDensity):
        return [_line(factors[0], "block-diagonal, eliminated first")]
    order, structure = density.order, density.system.structure
    lines = []
    if order.leaf >= 0:
        lines = [_line(factors[order.leaf], "block-diagonal, eliminated first, draws made when asked for")]
    in_root = structure.root_size - density.system.xy.shape[0]
    staged = [f for f, _ in order.stages if f >= 0]
    for f in staged:
        lines.append(_line(factors[f], "levels that never meet: eliminated next, one by one, without fill among them"))
    sparse = sum(len(nodes) for f, nodes in order.stages if f < 0)
    for f in order.others:
        if (coupling := factors[f].coupling) is not None:
            lines.append(_coupled(factors[f], len(coupling.values)))
        elif f not in staged:
            lines.append(_line(factors[f], "crossed" if in_root + sparse > _FEW else "few: left to the root"))
    if sparse:
        lines.append(f"sparse      {sparse:,} levels that meet few others: eliminated in order of least degree")
    lines.append(
        f"root        {in_root:,} effects and the coefficients are solved for together, dense: "
        f"{8e-6 * structure.root_size**2:,.1f} MB, {structure.root_size**3 / 3:,.0f} flops"
    )
    return lines


def _coupled(factor: Factor, entries: int) -> str:
    levels = len(factor.levels)
    return (
        f"u_{factor.name}".ljust(11) + f" {levels:,} levels that are coupled: their prior precision has {entries:,} of "
        f"{levels * (levels + 1) // 2:,} entries"
    )


def _line(factor: Factor, kind: str) -> str:
    q = len(factor.effects)
    joint = "correlated" if factor.correlated else "independent"
    effects = f"{q} {joint} effects" if q > 1 else "1 effect"
    count = f"{len(factor.levels):,}"
    return f"u_{factor.name}".ljust(11) + f" {count} groups x {effects}: {count} blocks of {q} x {q}, {kind}"


def _sampled(posterior: Posterior) -> list[str]:
    """Lines on a family whose coefficients are sampled."""
    model = posterior.model
    design, layout, observations = model.design, model.priors.layout, model.observations
    lines = [f"family      {model.family.name}, link {model.link.name}"]
    together = "" if observations is None else f", put together to {len(observations.y):,}"
    lines.append(f"rows        {model.statistics.rows:,}{together}")
    for factor in design.factors if model.pooling is Pooling.PARTIAL else ():
        q = len(factor.effects)
        joint = "correlated" if factor.correlated else "independent"
        effects = f"{q} {joint} effects" if q > 1 else "1 effect"
        lines.append(f"u_{factor.name}".ljust(11) + f" {len(factor.levels):,} groups x {effects}")
    size = sum(len(factor.levels) * len(factor.effects) for factor in design.factors)
    said, numbers = ", ".join(layout.names), layout.dimension + len(design.coefficients) + size
    if model.pooling is Pooling.SEPARATE:
        count, each = len(design.factors[0].levels), len(design.coefficients) + layout.dimension
        return [*lines, f"sampled     {count:,} regressions of {each} numbers, each by itself, whitened at its mode"]
    lines.append(f"beta        {len(design.coefficients)} coefficients")
    lines.append(f"sampled     {numbers:,} numbers, whitened at the mode" + (f"; theta: {said}" if said else ""))
    return lines


class Text(str):
    """Lines that a prompt and a notebook show as lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def describe(posterior: Posterior) -> Text:
    """Blocks, their kinds and sizes, cost of an evaluation, priors, and which sampler was chosen and why."""
    model, certificate = posterior.model, posterior.certificate
    design, statistics = model.design, model.statistics
    p = len(design.coefficients)
    size = sum(array.nbytes for array in (statistics.counts, statistics.means, statistics.scatter))
    lines = [f"{design.formula.text}   ({model.pooling.value})"]
    if not model.sampled:
        lines.append(
            f"rows        {statistics.rows:,}, reduced once to {size:,} bytes of cross-products; never read again"
        )
    lines.append(f"source      {model.data.reading}")
    if model.sampled:
        lines += _sampled(posterior)
    elif posterior.by_turns:
        lines += [
            f"{factor.name:<11} {len(factor.levels):,} levels: drawn together, given the other factors"
            for factor in design.factors
        ]
        lines.append(f"theta       {len(model.priors.layout.names)} parameters, each drawn given the effects")
    elif model.pooling is Pooling.PARTIAL:
        density = gaussian(statistics, design, model.priors, threads=1)
        lines += _blocks(density, design.factors)
        sampled = [model.priors.layout.names[k] for k in model.priors.ties.free]
        lines += [
            f"beta        {p} coefficients: dense {p} x {p}, eliminated last",
            f"theta       {len(sampled)} parameters are left to sample: {', '.join(sampled)}",
            f"cost        about {density.cost:,.0f} flops an evaluation, whatever the number of rows",
        ]
    elif model.pooling is Pooling.SEPARATE:
        count = len(statistics.counts)
        lines.append(f"beta        {count:,} regressions of {p} coefficients, each by itself: diagonal after one SVD")
    else:
        lines.append(f"beta        one regression of {p} coefficients: diagonal after one SVD")
    lines += [f"sampler     {certificate.sampler}: {certificate.reason}"]
    if certificate.figures:
        lines.append("figures     " + ", ".join(f"{name} {value:.4g}" for name, value in certificate.figures.items()))
    lines += ["priors"] + [f"  {name} ~ {words}" for name, words in model.priors.words().items()]
    return Text("\n".join(lines))
