"""PyTensor warns where it finds no BLAS to compile against; that is its own matter."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(autouse=True)
def _without_blas(_warnings_are_errors):
    warnings.filterwarnings("ignore", message="PyTensor could not link")
