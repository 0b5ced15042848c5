"""Which library serves, and what happens where none does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.selection import long_but_for

import poolwise
from poolwise.compiled import library

PACKAGE = Path(poolwise.__file__).parent
FIT = """
import numpy as np, poolwise as pw
rng = np.random.default_rng(0)
g, x = rng.integers(0, 12, 120), rng.normal(size=120)
data = {"y": x + rng.normal(size=12)[g] + rng.normal(size=120), "x": x, "g": g}
fit = pw.fit("y ~ x + (x | g)", data, seed=1, draws=50, chains=2)
print(fit.result.beta.ravel()[:5].tolist())
"""
SAID = """
from poolwise.compiled.library import library, reason_without
print(library() and library().name, reason_without())
"""
BEST = f"{library.best_for(library.processor_flags())}.so"
WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None\n"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or library.platform.machine() != "x86_64", reason="there are libraries for Linux on x86-64"
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """An installation of its own."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "site" / "poolwise", ignore=ignored)).parent


def ran(code: str, where: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != library.SWITCH}
    paths = {} if where is None else {"PYTHONPATH": str(where)}
    asked = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(
        asked, capture_output=True, text=True, env={**kept, **paths, **environment}, cwd=where, timeout=600
    )


def said_by(where: Path, before: str = "", **environment: str) -> str:
    return ran(before + SAID, where, **environment).stdout.strip()


def test_a_fit_imports_no_numba():
    found = ran(WITHOUT_NUMBA + FIT + "assert 'llvmlite' not in sys.modules or 'sparse' in sys.modules")
    assert found.returncode == 0, found.stderr


def test_an_edited_source_is_never_run_from_the_library(copy):
    with open(copy / "poolwise" / "density" / "theta.py", "a") as source:
        source.write("\n# edited\n")
    assert said_by(copy) == "None it was made of other sources than density/theta.py"


@pytest.mark.parametrize(
    ("harm", "said"),
    long_but_for(3, [
        (lambda folder: (folder / BEST).write_bytes(b"\x7fELF" + bytes(1000)), "is missing or damaged"),
        (lambda folder: (folder / BEST).unlink(), "is missing or damaged"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "its manifest cannot be read"),
        (lambda folder: (folder / "manifest.json").unlink(), "its manifest cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "its manifest cannot be read"),
    ]),
)  # fmt: skip
def test_a_damaged_library_is_not_loaded(copy, harm, said):
    harm(copy / "poolwise" / "compiled" / "prebuilt")
    assert said in said_by(copy)


def test_a_library_of_another_version_is_not_loaded(copy):
    path = copy / "poolwise" / "compiled" / "prebuilt" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["libraries"] = dict.fromkeys(manifest["libraries"], "0" * 64)
    path.write_text(json.dumps(manifest))
    assert "is missing or damaged" in said_by(copy)


def test_without_a_library_and_without_numba_one_sentence_says_so(copy):
    (copy / "poolwise" / "compiled" / "prebuilt" / "manifest.json").unlink()
    found = ran(WITHOUT_NUMBA + FIT, copy)
    assert found.returncode != 0
    assert (
        found.stderr.strip().splitlines()[-1].startswith("poolwise.support.errors.PoolwiseError: No kernels compiled")
    )
    assert "pip install 'poolwise[jit]'" in found.stderr


@pytest.mark.long
@pytest.mark.parametrize("name", ["x86_64_v3", "x86_64"])
def test_lesser_processors_take_lesser_libraries(copy, name):
    if not library.processor_flags().issuperset(library.FEATURES[name]):
        pytest.skip("this processor is a lesser one itself")
    plain = f"from poolwise.compiled import library as l; l.processor_flags = lambda: frozenset(l.FEATURES[{name!r}])\n"
    assert said_by(copy, plain) == f"{name} None"
    here, there = ran(FIT, copy), ran(plain + WITHOUT_NUMBA + FIT, copy)
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == pytest.approx(json.loads(here.stdout), rel=1e-6)


def test_objects_laid_out_in_another_way_are_noticed(copy):
    other = (
        "from poolwise.compiled import library as l; real = l._describe_objects\n"
        "import ctypes\n"
        "def shifted(handle):\n"
        "    real(handle); (ctypes.c_int64 * 1).in_dll(handle, l.LAYOUT)[0] = tuple.__basicsize__ + 8\n"
        "l._describe_objects = shifted\n"
    )
    assert "are not laid out as the library expects" in said_by(copy, other)


@pytest.mark.long
def test_an_installation_that_cannot_be_written_and_no_home(copy, tmp_path):
    for path in [*copy.rglob("*"), copy]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    nowhere = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    found = ran(WITHOUT_NUMBA + FIT, copy, **nowhere)
    assert found.returncode == 0, found.stderr


def test_without_a_folder_for_a_cache_kernels_are_compiled_without_one(monkeypatch):
    pytest.importorskip("numba")
    from numba.core.dispatcher import Dispatcher

    from poolwise.compiled import jit

    def nowhere(self):
        raise RuntimeError("cannot cache function: no locator available")

    def doubled(x):
        return 2 * x

    monkeypatch.setattr(Dispatcher, "enable_caching", nowhere)
    assert jit.dispatcher(doubled, frozenset(), False)(2) == 4


@pytest.mark.long
def test_two_processes_at_once(copy):
    kept = {**os.environ, "PYTHONPATH": str(copy)}
    both = [
        subprocess.Popen([sys.executable, "-c", FIT], stdout=subprocess.PIPE, text=True, env=kept) for _ in range(2)
    ]
    answers = {process.communicate(timeout=600)[0] for process in both}
    assert len(answers) == 1
    assert answers.pop().startswith("[")


@pytest.mark.parametrize("asked", ["yes", ""])
def test_a_switch_that_does_not_exist(asked):
    found = ran(SAID, **{library.SWITCH: asked})
    assert "POOLWISE_KERNELS must be 'auto', 'jit' or 'prebuilt'" in found.stderr


@pytest.mark.long
def test_draws_of_both_ways_agree():
    pytest.importorskip("numba")
    here, compiled = ran(FIT), ran(FIT, **{library.SWITCH: "jit"})
    assert json.loads(compiled.stdout) == pytest.approx(json.loads(here.stdout), rel=1e-6)


@pytest.mark.slow
def test_the_wheel_fits_in_an_empty_environment(tmp_path):
    """Built, installed without numba, and fitted."""
    root = PACKAGE.parents[1]
    run = {"check": True, "capture_output": True, "text": True, "timeout": 600}
    subprocess.run(["uv", "build", "--wheel", "--out-dir", str(tmp_path), str(root)], **run)
    subprocess.run(["uv", "venv", str(tmp_path / "empty"), "--python", sys.executable], **run)
    python = str(tmp_path / "empty" / "bin" / "python")
    subprocess.run(["uv", "pip", "install", "--python", python, str(next(tmp_path.glob("*.whl")))], **run)
    code = FIT + SAID + "\nimport sys; print('numba' in sys.modules)"
    found = subprocess.run([python, "-c", code], cwd=tmp_path, **run)
    assert found.stdout.splitlines()[1:] == [f"{library.library().name} None", "False"]
