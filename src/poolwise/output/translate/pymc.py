"""PyMC: effects non-centred, covariances by their correlation matrix."""

from __future__ import annotations

import numpy as np

from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior
from poolwise.output.translate.common import header, matrix, needed, number
from poolwise.priors import Exponential, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT


def pymc(posterior: Posterior) -> str:
    """A script for PyMC: `build(data)` makes the model."""
    model = posterior.model
    design, priors = model.design, model.priors
    body = [
        f"    data = data.dropna(subset={needed(model)!r})",
        f"    y = np.asarray(model_matrix({'0 + ' + design.formula.response!r}, data), dtype=float)[:, 0]",
        f"    X = model_matrix({design.formula.common!r}, data)",
    ]
    coords = ["'coefficient': list(X.columns)"]
    terms = ["np.asarray(X, dtype=float) @ beta"]
    groups: list[str] = []
    for k, factor in enumerate(design.factors):
        code, labels = f"code_{k}", f"levels_{k}"
        key = " + ':' + ".join(f"data[{name!r}].astype(str)" for name in factor.keys)
        source = f"data[{factor.keys[0]!r}]" if len(factor.keys) == 1 else key
        body.append(f"    {code}, {labels} = pd.factorize({source}, sort=True)")
        bars = [bar for bar in design.formula.bars if set(bar.keys) == set(factor.keys)]
        parts = ", ".join(f"np.asarray(model_matrix({bar.effects!r}, data), dtype=float)" for bar in bars)
        body.append(f"    Z_{k} = np.hstack([{parts}])")
        coords += [f"{factor.name!r}: {labels}", f"{f'effect_{factor.name}'!r}: {list(factor.effects)!r}"]
        groups += _effects(posterior, factor, k)
        terms.append(f"(Z_{k} * u_{k}[{code}]).sum(axis=1)")
    if design.formula.offsets:
        offset = "0 + " + " + ".join(f"I({text})" for text in design.formula.offsets)
        terms.append(f"np.asarray(model_matrix({offset!r}, data), dtype=float).sum(axis=1)")
    body.append("    coords = {" + ", ".join(coords) + "}")
    body.append("    with pm.Model(coords=coords) as model:")
    body.append("        b = pm.math.stack([")
    for name, prior in zip(design.coefficients, priors.coefficients, strict=True):
        body.append(f"            {_distribution(prior, f'b[{name}]')},")
    body.append("        ])")
    if np.array_equal(priors.rows, np.eye(len(priors.rows))):
        body.append("        beta = pm.Deterministic('beta', b, dims='coefficient')")
    else:
        rows = matrix(np.linalg.inv(priors.rows))
        body.append("        # Default priors are on coefficients at the mean of every predictor: these are b.")
        body.append(f"        beta = pm.Deterministic('beta', np.array({rows}) @ b, dims='coefficient')")
    body += groups
    body.append(f"        sigma = {_distribution(priors.sigma, 'sigma')}")
    body.append(f"        mu = {' + '.join(terms)}")
    noise = "sigma"
    if model.encoding.weights is not None:
        noise = f"sigma / np.sqrt(data[{model.encoding.weights!r}].to_numpy())"
    body.append(f"        pm.Normal({design.response!r}, mu, {noise}, observed=y)")
    body.append("    return model")
    return "\n".join(
        [
            header(model),
            "import numpy as np",
            "import pandas as pd",
            "import pymc as pm",
            *(["import pytensor.tensor as pt"] if any(factor.correlated for factor in design.factors) else []),
            "from formulaic import model_matrix\n\n",
            "def build(data):",
            *body,
            "",
            "",
            'if __name__ == "__main__":',
            '    with build(pd.read_csv("data.csv")):',
            f"        draws = pm.sample({posterior.draws}, chains={posterior.chains}, random_seed=1)",
            "    print(pm.summary(draws, var_names=['beta', 'sigma'], filter_vars='like'))",
            "",
        ]
    )


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
    raise TypeError(f"PyMC has no {type(prior).__name__}")
