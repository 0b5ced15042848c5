"""What a model is made of and what it costs: so that a user can see why it is cheap or dear."""

from __future__ import annotations

from poolwise.posterior import Pooling, Posterior


def describe(posterior: Posterior) -> str:
    """Blocks, their kinds and sizes, cost of an evaluation, priors, and which sampler was chosen and why."""
    model, certificate = posterior.model, posterior.certificate
    design, statistics = model.design, model.statistics
    p = len(design.coefficients)
    size = sum(array.nbytes for array in (statistics.counts, statistics.means, statistics.scatter))
    lines = [
        f"{design.formula.text}   ({model.pooling.value})",
        f"rows        {statistics.rows:,}, reduced once to {size:,} bytes of cross-products; never read again",
        f"source      {model.data.reading}",
    ]
    if model.pooling is Pooling.PARTIAL:
        factor = design.factors[0]
        q, groups = len(factor.effects), len(factor.levels)
        flops = groups * (2 * q**3 + 2 * q * q * (p + 1) + q * (p + 1) * (p + 2)) + (p + 1) ** 3 // 3
        kind = "correlated" if model.priors.layout.pairs else "independent"
        lines += [
            f"u_{factor.name}".ljust(12)
            + f"{groups:,} groups x {q} {kind} effects: block-diagonal, {groups:,} blocks of "
            f"{q} x {q}, eliminated first",
            f"beta        {p} coefficients: dense {p} x {p}, eliminated last",
            f"theta       {model.priors.layout.dimension} parameters are left to sample: "
            + ", ".join(model.priors.layout.names),
            f"cost        about {flops:,} flops an evaluation, whatever the number of rows",
        ]
    elif model.pooling is Pooling.SEPARATE:
        lines.append(f"beta        {len(statistics.counts):,} regressions of {p} coefficients, each by itself: diagonal after one SVD")
    else:
        lines.append(f"beta        one regression of {p} coefficients: diagonal after one SVD")
    lines += [f"sampler     {certificate.sampler}: {certificate.reason}"]
    if certificate.figures:
        lines.append("figures     " + ", ".join(f"{name} {value:.4g}" for name, value in certificate.figures.items()))
    lines += ["priors"] + [f"  {name} ~ {words}" for name, words in model.priors.words().items()]
    return "\n".join(lines)
