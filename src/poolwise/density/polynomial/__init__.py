"""Log likelihoods of many rows as one polynomial of each cell's coefficients.

Around a normal model of working outcomes the log likelihood of a row is nearly a polynomial of low order of its linear
predictor, and so a sum over the rows of a cell is one of the weights of the cell's columns: as many numbers as it has
monomials, however many rows. `monomials.py` orders these, `coordinates.py` has the weights, `hermite.py` the
polynomials of rows, `expansion.py` their sums, `remainders.py` what they are beside working outcomes; `of_rows.py`
makes them of rows in memory, `scans.py` of batches of rows elsewhere. Where cells have few rows, levels of the leaf may
have many: `of_levels.py` makes polynomials of these, linear in all else that their rows meet (`meetings.py`), and
`level_remainders.py` has them. That they are close enough is checked by rows (`inference/near_normal.py`).
"""
