"""Compiles kernels ahead of time, to the libraries in `poolwise/compiled/prebuilt`."""
