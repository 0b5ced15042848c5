"""Families that are sampled, by a normal model of working outcomes that is close to them, and its exact correction.

`turns.py` finds the working outcomes (`outcomes.py`) from the expected log likelihoods in `expected.py`, with the
dispersions that all rows share (`dispersions.py`), which may be bent (`bends.py`) or move outcomes (`moving.py`);
`density.py` is the log density of theta of their normal model, `corrected.py` the estimates that make up for the
difference, from the random numbers of `noise.py`; `kernels.py` is what they cost.
Derivation: `docs/explanation/working-outcomes.md`.
"""
