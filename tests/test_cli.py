"""The command line as a user runs it: in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.cli import commands
from tests.selection import long_but_for

COMMAND = [sys.executable, "-m", "poolwise"]


def run(*arguments, **options):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=240, **options)


@pytest.fixture(scope="module")
def radon_csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "radon.csv"
    some().to_csv(path, index=False)
    return path


def some():
    """Houses of twelve counties: charts and reports of all 85 take seconds."""
    radon = pw.datasets.load_radon()[["county", "floor", "log_radon"]]
    return radon[radon.county.isin(radon.county.unique()[:12])]


@pytest.mark.long
def test_demo_tells_the_study(tmp_path):
    done = run("demo", "--out", tmp_path / "charts", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in (
        "complete pooling",
        "no pooling",
        "partial pooling",
        "partial pooling predicts best",
        "that is the trap",
    ):
        assert words in done.stdout
    for name in ("shrinkage", "lines", "forest", "trace"):
        picture = (tmp_path / "charts" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
    assert str(tmp_path / "charts") in done.stdout


@pytest.mark.long
def test_compare_zeros_and_ones(tmp_path):
    path = tmp_path / "high.csv"
    some().assign(high=(some().log_radon > 1.4) * 1).to_csv(path, index=False)
    done = run(
        "compare", path, "high ~ 1", "--by", "county", "--family", "bernoulli", "--out", tmp_path, "--folds", 2,
        "--draws", 100, "--seed", 1, "-q",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "brier_2_fold" in done.stdout and "log_score_leave_one_out" in done.stdout


@pytest.mark.long
def test_fit_and_compare_any_file(radon_csv, tmp_path):
    done = run(
        "fit",
        radon_csv,
        "log_radon ~ floor + (floor | county)",
        "--out",
        tmp_path,
        "--seed",
        1,
        "--save",
        tmp_path / "f",
        "--report",
        tmp_path / "r.html",
    )
    assert done.returncode == 0, done.stderr
    assert "The report is in" in done.stdout
    assert "Leave-one-county-out" in (tmp_path / "r.html").read_text()
    assert "cor_county[floor, Intercept]" in done.stdout
    assert "OK: 4 x 1,000 draws by independence" in done.stdout
    assert {"trace.png", "forest.png", "f", "r.html"} == set(os.listdir(tmp_path))
    assert pw.load(tmp_path / "f").outcome.passed
    done = run("compare", radon_csv, "log_radon ~ floor", "--by", "county", "--out", tmp_path, "--folds", 3, "-q")
    assert done.returncode == 0, done.stderr
    assert "rmsd_3_fold" in done.stdout
    assert (tmp_path / "shrinkage.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    long_but_for(
        lambda arguments, *_: "{csv}" in arguments and "log_radon ~ flor" in arguments or arguments == ("fti",),
        [
            (("fit", "gone.csv", "y ~ x"), 1, "Error: There is no file 'gone.csv'"),
            (
                ("fit", "{csv}", "log_radon ~ flor"),
                1,
                "Error: There is no column 'flor' in the data. Did you mean 'floor'?",
            ),
            (("fti",), 2, "No such command 'fti'"),
            (("fit", "{csv}", "log_radon ~ floor", "--report", "gone/r.html"), 1, "Error: Cannot write 'gone/r.html'"),
            (("fit", "{csv}", "log_radon ~ (1 | county"), 1, "this bracket is never closed"),
            (("fit", "{csv}"), 2, "Missing argument"),
            (("fit", "{csv}", "log_radon ~ floor", "--out", "{csv}"), 1, "Error: Cannot make the folder"),
        ],
    ),
)
def test_errors_are_one_message_without_a_traceback(arguments, code, said, radon_csv):
    done = run(*[argument.format(csv=radon_csv) for argument in arguments])
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_patterns_and_databases(tmp_path):
    import duckdb

    radon = some()
    for i, part in enumerate((radon[:60], radon[60:])):
        part.to_csv(tmp_path / f"{i}.csv", index=False)
    with duckdb.connect(str(tmp_path / "radon.duckdb")) as connection:
        connection.register("rows", radon)
        connection.execute("CREATE TABLE houses AS SELECT * FROM rows").fetchall()
    formula, rest = "log_radon ~ floor + (floor || county)", ("--seed", 1, "-q", "--draws", 100)
    table = repr(pw.fit(formula, radon, seed=1, draws=100)).split("OK:")[0]
    for data, more in ((f"{tmp_path}/*.csv", ()), (tmp_path / "radon.duckdb", ("--table", "houses"))):
        done = run("fit", data, formula, *rest, "--out", tmp_path / "out", *more)
        assert done.stdout.split("OK:")[0] == table, done.stderr
    wrong = run("fit", tmp_path / "radon.duckdb", formula, "--table", "house")
    assert "There is no table 'house'" in wrong.stderr and "Did you mean 'houses'?" in wrong.stderr
    assert "name its table with --table" in run("fit", tmp_path / "radon.duckdb", formula).stderr


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals work differently there")
def test_ctrl_c_stops_at_once_and_leaves_no_file(radon_csv, tmp_path):
    arguments = [
        "fit",
        str(radon_csv),
        "log_radon ~ floor + (floor | county)",
        "--draws",
        "1000000",
        "--out",
        str(tmp_path / "out"),
    ]
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    sent = time.perf_counter()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert time.perf_counter() - sent < 8  # at once on a quiet machine
    assert "Stopped" in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ImportError])
def test_ctrl_c_while_a_library_is_imported(error, monkeypatch, capsys):
    """Extension modules raise an ImportError of their own, whose cause is the interrupt."""

    def app(**_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise error from interrupt

    monkeypatch.setattr(commands, "app", app)
    with pytest.raises(SystemExit) as end:
        commands.main()
    assert end.value.code == 130
    assert "Stopped" in capsys.readouterr().err


@pytest.mark.long
def test_doctor_says_what_is_in_use():
    done = run("doctor")
    assert done.returncode == 0, done.stderr
    said = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    assert {"packages", "kernels", "processor", "threads", "seconds"} <= said.keys()
    steps = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert "first fit of log_radon ~ floor + (floor | county)" in [what for _, what in steps]
    assert all(float(seconds) >= 0 for seconds, _ in steps)


def test_a_chart_for_each_factor_in_a_file_of_its_own():
    rng = np.random.default_rng(1)
    names = ["forest/region", "a-b", "a", "b"]
    data = pd.DataFrame({name: rng.choice(list("pqr"), 60) for name in names} | {"y": rng.normal(size=60)})
    formula = "y ~ 1 + (1 | `forest/region`) + (1 | `a-b`) + (1 | a:b)"
    assert list(commands._forests(pw.fit(formula, data, seed=1, draws=50))) == [
        "forest-forest-region",
        "forest-a-b",
        "forest-a-b_",
    ]
    one = pw.compare_pooling("q ~ a", by="g", data=categories(), family="categorical", folds=0, seed=1, draws=50)
    assert len(commands._forests(one.partial)) == 2


def categories():
    rng = np.random.default_rng(2)
    return pd.DataFrame({"q": rng.choice(["u", "v", "w"], 90), "a": rng.normal(size=90), "g": np.arange(90) % 3})
