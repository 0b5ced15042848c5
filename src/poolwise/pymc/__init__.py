"""Models of PyMC, sampled with the coefficients integrated out: `pip install 'poolwise[pymc]'`.

    import poolwise as pw

    tree = pw.pymc.sample(model, seed=1)  # in the place of pm.sample()
    print(pw.pymc.explain(model))  # what is integrated out, and what is left

`graph.py` finds the block of variables in which a model is linear and normal, `linear_rows.py` evaluates it as rows of
a linear model, `arrow.py` has the algebra, `density.py` the log density of what is left, `draw.py` puts draws together.
"""

from poolwise.pymc.draw import explain, sample

__all__ = ["explain", "sample"]
