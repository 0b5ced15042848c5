"""A posterior's certificate where groups may lie where no draw does, as under a Student-t likelihood."""

from __future__ import annotations

from dataclasses import replace

from poolwise.density.latent.observations import Observations
from poolwise.density.working.other_places import other_places
from poolwise.inference.posterior import Posterior
from poolwise.inference.shared_parameters import SharedParameters


def looked_elsewhere(posterior: Posterior, observations: Observations | None, *, whole: bool = True) -> Posterior:
    """The same with a certificate that does not hold where groups may lie where no draw does.

    Parameters
    ----------
    observations : the rows, or a part of all.
    whole : whether they are all.
    """
    model, theta = posterior.model, posterior.theta
    if model.family.concave or model.link.code or observations is None or theta is None:
        return posterior
    shared = SharedParameters.of(replace(model, observations=observations))
    inner, (logs, beta) = shared.model, shared.means(posterior)
    assert inner.observations is not None  # those above
    of_model = inner.observations, inner.design, inner.priors, inner.family, inner.link
    effects = [each.draws() for each in posterior.u]
    found = other_places(*of_model, logs, beta, effects, whole=whole)
    if not found:
        return posterior
    first = found[0]
    more = f", as {len(found) - 1} more may" if len(found) > 1 else ""
    likely = f"with a probability of some {100 * first.share:.2g}%, where no draw does"
    if not whole:
        likely = f"where no draw does; {observations.rows:,} rows were looked at, which do not tell how likely"
    advice = (
        f"The effect of {first.factor} {first.level} may lie elsewhere{more}, {likely}: part of its rows contradict "
        "the others, or they contradict all other groups. Look at these rows; a mistake in them, or a predictor that "
        "tells them apart, is likely."
    )
    certificate = posterior.certificate
    figures = certificate.figures | {"elsewhere": first.share}
    return replace(posterior, certificate=replace(certificate, passed=False, advice=advice, figures=figures))
