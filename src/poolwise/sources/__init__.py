"""Where rows live. One protocol: named columns in, NumPy arrays out."""

from poolwise.sources.files import read_file
from poolwise.sources.frames import Table, as_table
from poolwise.sources.source import as_source

__all__ = ["Table", "as_source", "as_table", "read_file"]
