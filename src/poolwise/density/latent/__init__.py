"""The density of coefficients, effects and theta together, for families that no algebra integrates."""
