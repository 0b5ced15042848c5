"""Pick the sampler: the independence sampler where its certificate holds, NUTS where it does not."""

from __future__ import annotations

from dataclasses import replace

from poolwise.samplers.base import LogDensity, Sample, SamplerSettings
from poolwise.samplers.independence import sample_independence


def sample(density: LogDensity, settings: SamplerSettings) -> Sample:
    """Draw from `density` by the sampler that `settings.sampler` names; "auto" decides by the certificate."""
    if settings.sampler == "nuts":
        return _nuts(density, settings, "asked for")
    result = sample_independence(density, settings)
    if settings.sampler == "independence" or result.certificate.passed:
        return result
    figures = result.certificate.figures
    found = f"efficiency {figures['efficiency']:.2f}, k-hat {figures['k_hat']:.2f}"
    return _nuts(density, settings, f"the independence sampler was not certified: {found}")


def _nuts(density: LogDensity, settings: SamplerSettings, reason: str) -> Sample:
    from poolwise.samplers.nuts import sample_nuts

    result = sample_nuts(density, settings)
    return replace(result, certificate=replace(result.certificate, reason=reason))
