"""Models of PyMC, sampled with the coefficients integrated out: `pip install 'poolwise[pymc]'`.

    import poolwise as pw

    tree = pw.pymc.sample(model, seed=1)  # in the place of pm.sample()
    print(pw.pymc.explain(model))  # what is integrated out, and what is left

`graph.py` finds the block of variables in which a model is linear and normal, by `normal_variables.py` and
`linearity.py`, and `bounds.py` with uniform ones in it; `rest.py` has what is left. `linear_rows.py` writes the block
as rows of a linear model, whose entries `affine.py` finds from the graph, or `pattern.py` by looking. The block is
integrated out by rows (`by_rows.py`), or by sums over rows (`by_sums.py`) of deviations from priors
(`standardised.py`), of orthonormal columns where these are nearly collinear (`orthogonal.py`), with the algebra of
`arrow.py`. `density.py` is the log density of what is left, `draw.py` draws, `variables.py` names the draws,
`checks.py` compares them with the model. Graphs run as NumPy calls (`numpy_calls.py`), of many values at once
(`vectorised.py`).
"""

from poolwise.pymc.draw import explain, sample

__all__ = ["explain", "sample"]
