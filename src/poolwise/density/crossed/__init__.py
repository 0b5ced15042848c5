"""Normal models with large crossed factors, whose effects are drawn factor by factor.

`equations.py` has the sums over rows, `draws.py` the draw of each part given the rest. `inference/crossed.py` takes
turns with them.
"""
