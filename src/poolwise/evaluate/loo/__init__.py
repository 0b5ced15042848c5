"""How well rows and groups are predicted by a fit that has not seen them."""
