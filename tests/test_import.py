"""Importing the package is cheap, and its public names are what they say."""

import subprocess
import sys
from pathlib import Path

import poolwise as pw

ROOT = Path(__file__).parents[1]

HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "numba",
    "formulaic",
    "xarray",
    "arviz_stats",
    "altair",
    "nutpie",
    "duckdb",
    "narwhals",
)


def loaded_after(code: str) -> set[str]:
    report = f"{code}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    return set(
        subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_loads_nothing_heavy():
    assert loaded_after("import poolwise") == set()


def test_a_fit_loads_only_what_it_needs():
    data = {"y": [1.0, 2, 4, 3], "x": [1.0, 3, 2, 5], "g": [1, 1, 2, 2]}
    code = f"import poolwise as pw\npw.fit('y ~ x + (1 | g)', {data}, seed=1)"
    assert loaded_after(code).isdisjoint({"arviz_stats", "altair", "nutpie", "duckdb", "xarray"})


def test_every_public_name_exists():
    for name in pw.__all__:
        assert getattr(pw, name) is not None
    assert dir(pw) == pw.__all__


def test_every_public_name_is_in_the_reference():
    pages = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "reference").glob("*.md")))
    for name, home in poolwise_homes().items():
        whole = f"::: {home}\n" in pages and (name in pages or home.endswith(".errors"))
        assert whole or f"::: {home}.{name}\n" in pages, name


def poolwise_homes() -> dict[str, str]:
    return dict(pw._HOME_OF)


def test_a_missing_extra_is_named():
    code = (
        "import sys; sys.modules['sklearn'] = None; sys.modules['pymc'] = None\n"
        "import poolwise as pw\n"
        "for name in ('sklearn', 'pymc'):\n"
        "    try: getattr(pw, name)\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'poolwise[sklearn]'" in said
    assert "pip install 'poolwise[pymc]'" in said
