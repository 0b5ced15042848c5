"""Log densities over an unconstrained vector, with their kernels beside them."""
