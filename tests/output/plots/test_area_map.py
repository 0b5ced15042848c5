"""What a map says of values beyond its colours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poolwise.output.plots.area_map import area_map


def square(at: int) -> dict:
    corners = [[at, 0], [at, 1], [at + 1, 1], [at + 1, 0], [at, 0]]
    return {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [corners]}}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([3.0, -0.2, np.nan], "own rows of 1 area lie beyond"),
        ([3.0, -2.0, 0.0], "own rows of 2 areas lie beyond"),
        ([0.9, -1.0, np.nan], None),
    ],
)
def test_values_beyond_the_scale_are_told(raw, said):
    table = pd.DataFrame({"area": ["a", "b", "c"], "n": 3, "raw": raw, "mean": [1.0, -1.0, 0.2], "sd": 0.3})
    chart = area_map(table, {name: square(k) for k, name in enumerate("abc")}, "y").to_dict(validate=False)
    assert (said in chart["title"]["subtitle"]) if said else ("beyond" not in chart["title"]["subtitle"])
    colours = [panel["encoding"]["color"]["condition"] for panel in chart["hconcat"]]
    assert all(each["legend"] is not None for each in colours)
