"""Where rows live: in memory as a `Table`, or in an engine as a `Relation`."""

from poolwise.sources.database import open_table
from poolwise.sources.files import read_file
from poolwise.sources.frames import Table, as_table
from poolwise.sources.relation import Relation
from poolwise.sources.source import Source, as_source, from_cells
from poolwise.sources.summary_tables import CellTable

__all__ = ["CellTable", "Relation", "Source", "Table", "as_source", "as_table", "from_cells", "open_table", "read_file"]
