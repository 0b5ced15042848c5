"""PyMC: effects non-centred, covariances by their correlation matrix."""

from __future__ import annotations

import numpy as np

from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior
from poolwise.output.translate import pymc_outcome
from poolwise.output.translate.categories import HELPER, categories_of, in_python, read_in_python
from poolwise.output.translate.common import bars_of, header, matrix, needed, number, of_predictor
from poolwise.output.translate.families import elsewhere
from poolwise.priors import Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT

# From the linear predictor to the mean, by the name of the link.
_INVERSE = {
    "identity": "{}",
    "log": "pm.math.exp({})",
    "logit": "pm.math.invlogit({})",
    "probit": "pm.math.invprobit({})",
    "cloglog": "1 - pm.math.exp(-pm.math.exp({}))",
    "sqrt": "pm.math.sqr({})",
    "inverse": "1 / ({})",
    "tan_half": "2 * pt.arctan({})",
}


def pymc(posterior: Posterior) -> str:
    """A script for PyMC: `build(data)` makes the model.

    Raises
    ------
    DataError : for a family of the user's own.
    """
    model = posterior.model
    design, priors, family = model.design, model.priors, model.family
    likelihood = elsewhere(family).pymc
    categories = {each.name for each in categories_of(model)}
    body = [f"    data = data.dropna(subset={needed(model)!r})", *in_python(model), *pymc_outcome.columns(model)]
    coords: list[str] = []
    terms: dict[str, list[str]] = {}
    several = len(design.formula.predictors) > 1
    for name, formula in design.formula.predictors:
        mine, matrix_name = of_predictor(model, name), f"X_{name}" if name else "X"
        terms[name] = []
        if mine:
            without = "" if formula.constant else ".drop(columns='Intercept')"
            body.append(f"    {matrix_name} = model_matrix({formula.common!r}, data){without}")
            beta = f"beta[{mine!r}]" if several else "beta"
            terms[name].append(f"np.asarray({matrix_name}, dtype=float) @ {beta}")
    if design.coefficients:
        coords.append(f"'coefficient': {list(design.coefficients)!r}" if several else "'coefficient': list(X.columns)")
    groups: list[str] = []
    for k, factor in enumerate(design.factors):
        code, labels = f"code_{k}", f"levels_{k}"
        key = " + ':' + ".join(f"data[{name!r}].astype(str)" for name in factor.keys)
        source = f"data[{factor.keys[0]!r}]" if len(factor.keys) == 1 else key
        if factor.keys[0] in categories and len(factor.keys) == 1:
            source += ".astype(object)"  # groups are sorted, whatever the order of their categories
        body.append(f"    {code}, {labels} = pd.factorize({source}, sort=True)")
        parts = [f"np.asarray(model_matrix({bar.effects!r}, data), dtype=float)" for bar in bars_of(model, factor)]
        body.append(f"    Z_{k} = np.hstack([{', '.join(parts)}])")
        coords += [f"{factor.name!r}: {labels}", f"{f'effect_{factor.name}'!r}: {list(factor.effects)!r}"]
        groups += _effects(posterior, factor, k)
        for predictor in dict.fromkeys(factor.predictors):
            mine = np.flatnonzero(factor.part_of(predictor)).tolist()
            own = "" if len(mine) == len(factor.effects) else f"[:, {mine}]"
            terms[predictor].append(f"(Z_{k} * u_{k}[{code}]){own}.sum(axis=1)")
    if design.formula.offsets:
        offset = "0 + " + " + ".join(f"I({text})" for text in design.formula.offsets)
        terms[""].append(f"np.asarray(model_matrix({offset!r}, data), dtype=float).sum(axis=1)")
    body.append("    coords = {" + ", ".join(coords) + "}")
    body.append("    with pm.Model(coords=coords) as model:")
    body += _coefficients(posterior) + groups
    given = dict(design.formula.fixed)
    for parameter in (each for each in family.parameters if not each.known):
        if parameter.name in given:
            stated = number(given[parameter.name])
        elif parameter.name in priors.dispersions:
            stated = _distribution(priors.dispersions[parameter.name], parameter.name)
        else:
            link = parameter.scale.link(None, family.name).name
            stated = _INVERSE[link].format(_sum(terms[parameter.name]))
        body.append(f"        {parameter.name} = {stated}")
    # Categories have a location on the scale of their noise, whose distribution the link names.
    link = "identity" if family.labels else model.link.name
    body.append(f"        mu = {_INVERSE[link].format(_sum(terms['']))}")
    body += pymc_outcome.likelihood(model, likelihood)
    body.append("    return model")
    noise = _INVERSE[model.link.name].format("disc * (thresholds - mu)" if family.labels else "")
    helpers = [HELPER if categories else "", likelihood.helper.format(inverse=noise), *pymc_outcome.helpers(model)]
    shown = [*(["beta"] if design.coefficients else []), *priors.dispersions] or ["sd_"]
    return "\n".join(
        [
            header(model),
            "import numpy as np",
            "import pandas as pd",
            "import pymc as pm",
            *(["import pytensor.tensor as pt"] if "pt." in "".join([*body, *helpers]) else []),
            "from formulaic import model_matrix\n",
            *(f"{helper.rstrip()}\n" for helper in helpers if helper),
            "",
            "def build(data):",
            *body,
            "",
            "",
            'if __name__ == "__main__":',
            f"    with build({read_in_python(model)}):",
            f"        draws = pm.sample({posterior.draws}, chains={posterior.chains}, random_seed=1)",
            f"    print(pm.summary(draws, var_names={shown!r}, filter_vars='like'))",
            "",
        ]
    )


def _sum(terms: list[str]) -> str:
    return " + ".join(terms) or "0.0"


def _coefficients(posterior: Posterior) -> list[str]:
    """Statements for the common coefficients."""
    priors, names = posterior.model.priors, posterior.model.design.coefficients
    if not names:
        return []
    lines = ["        b = pm.math.stack(["]
    for name, prior in zip(names, priors.coefficients, strict=True):
        lines.append(f"            {_distribution(prior, f'b[{name}]')},")
    lines.append("        ])")
    if np.array_equal(priors.rows, np.eye(len(priors.rows))):
        return [*lines, "        beta = pm.Deterministic('beta', b, dims='coefficient')"]
    rows = matrix(np.linalg.inv(priors.rows))
    return [
        *lines,
        "        # Default priors are on coefficients at the mean of every predictor: these are b.",
        f"        beta = pm.Deterministic('beta', np.array({rows}) @ b, dims='coefficient')",
    ]


def _effects(posterior: Posterior, factor: Factor, k: int) -> list[str]:
    """Statements for the effects of a factor's groups."""
    name, priors = factor.name, posterior.model.priors
    dims = f"dims=({name!r}, {f'effect_{name}'!r})"
    lines = ["        sd = pm.math.stack(["]
    place = priors.layout.places(name)
    for effect, prior in zip(factor.effects, priors.sd[place], strict=True):
        lines.append(f"            {_distribution(prior, f'sd_{name}[{effect}]')},")
    lines.append("        ])")
    lines.append(f"        z_{k} = pm.Normal({f'z_{name}'!r}, 0, 1, {dims})")
    root = f"z_{k} * sd"
    if factor.correlated:
        eta = number(priors.correlation[name].eta)
        blocks = []
        for start in sorted(set(factor.starts.tolist())):
            size = int(np.sum(factor.starts == start))
            mine = f"z_{k}[:, {start}:{start + size}]"
            if size == 1:
                blocks.append(mine)
                continue
            label = f"cor_{name}" if size == len(factor.effects) else f"cor_{name}_{start}"
            if size == 2:
                lines.append(f"        cor = pm.LKJCorr({label!r}, n=2, eta={eta}, return_matrix=True)")
                lines.append("        root = pt.linalg.cholesky(cor)")
            else:
                lines += [
                    "        # PyMC moves larger correlation matrices safely only along with scales; unused here.",
                    f"        unused = pm.Exponential.dist(1, shape={size})",
                    f"        root, _, scales = pm.LKJCholeskyCov({label!r}, n={size}, eta={eta}, sd_dist=unused)",
                    "        root = root / scales[:, None]",
                ]
            lines.append(f"        part_{start} = {mine} @ root.T")
            blocks.append(f"part_{start}")
        joined = blocks[0] if len(blocks) == 1 else f"pm.math.concatenate([{', '.join(blocks)}], axis=1)"
        root = f"{joined} * sd"
    to_zero = priors.from_stated[place, place]
    if not np.array_equal(to_zero, np.eye(len(to_zero))):
        lines.append("        # Priors are on effects at the mean of every predictor; these are effects at zero.")
        root = f"pm.math.dot({root}, np.array({matrix(to_zero.T)}))"
    lines.append(f"        u_{k} = pm.Deterministic({f'u_{name}'!r}, {root}, {dims})")
    return lines


def _distribution(prior: Prior, name: str) -> str:
    """A prior as a variable of PyMC."""
    match prior:
        case Normal():
            return f"pm.Normal({name!r}, {number(prior.mean)}, {number(prior.sd)})"
        case StudentT():
            return f"pm.StudentT({name!r}, nu={number(prior.df)}, mu={number(prior.mean)}, sigma={number(prior.scale)})"
        case HalfNormal():
            return f"pm.HalfNormal({name!r}, {number(prior.sd)})"
        case HalfCauchy():
            return f"pm.HalfCauchy({name!r}, {number(prior.scale)})"
        case HalfStudentT():
            return f"pm.HalfStudentT({name!r}, nu={number(prior.df)}, sigma={number(prior.scale)})"
        case Exponential():
            return f"pm.Exponential({name!r}, {number(prior.rate)})"
        case Gamma():
            return f"pm.Gamma({name!r}, alpha={number(prior.shape)}, beta={number(prior.rate)})"
    raise TypeError(f"PyMC has no {type(prior).__name__}")
