"""The command line: `poolwise demo`, `poolwise fit`, `poolwise compare`, `poolwise app`, `poolwise doctor`."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import poolwise as pw
from poolwise.support.errors import FileError, PoolwiseError

if TYPE_CHECKING:
    from poolwise.support.progress import Progress

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Exact hierarchical regression, and what pooling bought."
)

Data = Annotated[
    str, typer.Argument(metavar="SOURCE", help="CSV or Parquet: a file, folder or 'pattern*'; or a DuckDB database.")
]
Table = Annotated[str | None, typer.Option(help="The table, where SOURCE is a DuckDB database.")]
Formula = Annotated[str, typer.Argument(help="Such as 'log_radon ~ floor + (floor | county)'.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the charts; made if it is not there.")]
Draws = Annotated[int, typer.Option(help="Draws of each of four chains.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same draws.")]
Report = Annotated[Path | None, typer.Option(help="Also write a self-contained HTML page to this file.")]
Family = Annotated[str, typer.Option(help="Of the outcome: bernoulli, poisson, student, ...")]
Link = Annotated[str | None, typer.Option(help="Of the mean; by default the family's usual one.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only: no progress.")]

_INTERRUPTED = 130
STUDY_COUNTIES = ["CASS", "CROW WING", "FREEBORN"]


def main() -> None:
    """Entry point: one sentence for what went wrong, and an exit code, instead of a traceback."""
    warnings.showwarning = lambda message, *_: typer.secho(f"Note: {message}", fg="yellow", err=True)
    try:
        code = app(standalone_mode=False) or 0
    except PoolwiseError as error:
        code = _complain(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Exception as error:
        if _of_an_interrupt(error):
            code = _INTERRUPTED
        elif not hasattr(error, "format_message"):  # Typer's own complaints know how to be said
            raise
        else:
            said = error.format_message()
            code = _complain(said, 2) if said else 2  # without a command it has printed its help already
    if code == _INTERRUPTED:
        typer.secho("Stopped. No half-written file is left.", err=True)
    sys.exit(code)


def _of_an_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: extension modules that are being imported raise one of their own for it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _complain(what: str, code: int) -> int:
    typer.secho(f"Error: {what}", fg="red", err=True)
    return code


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"poolwise {version('poolwise')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
]


@app.callback()
def everywhere(show_version: Version = False) -> None:
    """Exact hierarchical regression, and what pooling bought."""


@app.command()
def demo(out: Out = None, seed: Seed = 1, quiet: Quiet = False) -> None:
    """The radon study, end to end: three models, their comparison, and the charts."""
    radon = pw.datasets.load_radon()
    priors: dict[str, Any] = {
        "Intercept": pw.Normal(0, 1),
        "floor": pw.Normal(0, 1),
        "sd": pw.HalfCauchy(1),
        "sigma": pw.HalfCauchy(1),
    }
    typer.echo(
        "Is radon higher in the basement (floor 0) than on the first floor (floor 1), and how do counties differ?"
    )
    with _progress(quiet) as progress:
        pooling = pw.compare_pooling(
            "log_radon ~ floor", by="county", data=radon, priors=priors, seed=seed, progress=progress
        )
    _report_comparison(pooling)
    partial, slope = pooling.partial, pooling.partial.result.beta[..., 1]
    typer.echo(
        f"\nThe first floor has {-slope.mean():.2f} less log radon than the basement (90% interval "
        f"{_quantile(-slope, 0.05):.2f} to {_quantile(-slope, 0.95):.2f}), "
        f"about {-math.expm1(slope.mean()):.0%} less radon."
    )
    words = {0.0: "basement", 1.0: "first floor"}
    charts = {
        "shrinkage": lambda: pooling.plot.shrinkage(),
        "lines": lambda: pooling.plot.lines(list(STUDY_COUNTIES), labels=words),
        "forest": lambda: partial.plot.forest(),
        "trace": lambda: partial.plot.trace(),
    }
    _write_charts(charts, out or Path("poolwise-demo"), quiet)


@app.command()
def fit(
    data: Data, formula: Formula, out: Out = None, draws: Draws = 1000, seed: Seed = None, quiet: Quiet = False,
    table: Table = None, family: Family = "gaussian", link: Link = None,
    save: Annotated[Path | None, typer.Option(help="Also keep the fit in this file, for pw.load().")] = None,
    report: Report = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds after which the fit is stopped.")] = None,
) -> None:  # fmt: skip
    """Fit a formula to rows, wherever they live, print the fit, and write its charts."""
    _check_out(out)
    _check_file(report)
    _check_file(save)
    with _progress(quiet) as progress:
        result = pw.fit(
            formula,
            _source(data, table),
            family=family,
            link=link,
            draws=draws,
            seed=seed,
            time_limit=time_limit,
            progress=progress,
        )

    from poolwise.support.digits import in_text

    typer.echo(repr(result))
    for factor in result.result.model.design.factors:
        typer.echo(f"\nCoefficients by {factor.name} (first 8):")
        first = result.group_coefficients(factor.name, groups=factor.levels[:8])
        typer.echo(in_text(first.astype({factor.name: str})).to_string(index=False))
    if save is not None:
        result.save(save)
        typer.echo(f"\nThe fit is in {save}.")
    _write_report(result, report, quiet)
    _write_charts({"trace": lambda: result.plot.trace(), **_forests(result)}, out or _folder(data), quiet)


@app.command()
def compare(
    data: Data, formula: Formula,
    by: Annotated[str, typer.Option(help="The grouping column.")],
    out: Out = None, draws: Draws = 1000, seed: Seed = None, quiet: Quiet = False, table: Table = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation; 0 leaves it out.")] = 10,
    correlated: Annotated[bool, typer.Option(help="Let the effects of a group be correlated.")] = False,
    report: Report = None, family: Family = "gaussian", link: Link = None,
) -> None:  # fmt: skip
    """Compare complete, no and partial pooling of a formula without group terms."""
    _check_out(out)
    _check_file(report)
    with _progress(quiet) as progress:
        pooling = pw.compare_pooling(
            formula,
            by=by,
            data=_source(data, table),
            family=family,
            link=link,
            folds=folds,
            draws=draws,
            seed=seed,
            correlated=correlated,
            progress=progress,
        )
    _report_comparison(pooling)
    _write_report(pooling, report, quiet)
    charts = {**_forests(pooling.partial), "trace": lambda: pooling.partial.plot.trace()}
    if pooling.in_a_plane:
        charts |= {"shrinkage": lambda: pooling.plot.shrinkage()}
    _write_charts(charts, out or _folder(data), quiet)


@app.command(name="app")
def page(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="CSV or Parquet; the radon study without.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where it listens; 127.0.0.1 is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="A free one where it is 0.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    workers: Annotated[int, typer.Option(help="Processes that answer, for many sessions at a time.")] = 0,
    folder: Annotated[str | None, typer.Option(help="CSV and Parquet files that every session may fit.")] = None,
) -> None:
    """The Inference Button in the browser: move a prior, and everything follows."""
    from poolwise.app.launch import run_app

    run_app(source, host=host, port=port, browser=browser, workers=workers, folder=folder, said=typer.echo)


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="With saved fits, '*.fit'.")],
    host: Annotated[str, typer.Option(help="Where it listens; 127.0.0.1 is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes; each reads all fits.")] = 1,
    rows: Annotated[int, typer.Option(help="The most rows of a request.")] = 200_000,
    megabytes: Annotated[float, typer.Option(help="The most that a request may have.")] = 20.0,
    seconds: Annotated[float, typer.Option(help="The longest that an answer may take.")] = 30.0,
) -> None:
    """Serve saved fits: a page for each, and predictions as JSON."""
    from poolwise.app.launch import check_shiny

    check_shiny()
    from poolwise.app.serve import Bounds, run

    run(folder, host=host, port=port, workers=workers, bounds=Bounds(megabytes, rows, seconds), said=typer.echo)


@app.command()
def doctor() -> None:
    """What poolwise runs on here: versions, kernels, processor, threads; and where the time of a fit goes."""
    from poolwise.cli.doctor import report

    for line in report():
        typer.echo(line)


def _source(data: str, table: str | None) -> Any:
    from poolwise.sources import open_table

    if table is None and data.endswith((".duckdb", ".db")):
        raise FileError(f"'{data}' is a database: name its table with --table.")
    return data if table is None else open_table(data, table)


def _folder(data: str) -> Path:
    """Where charts go by default, after the name of the source without its wildcards."""
    stem = "".join(c for c in Path(data).stem if c not in "*?[]").strip("-_. ")
    return Path(f"{stem or 'fit'}-poolwise")


def _report_comparison(pooling: pw.PoolingComparison) -> None:
    typer.echo(f"\n{pooling!r}")
    typer.echo(
        "RMSD: root mean squared deviation of the outcomes from the posterior mean prediction, in the outcome's units; "
        "in sample, and for rows left out in turn and predicted by refitting. For zeros and ones its square, the Brier "
        "score. Log score: mean log probability (density) of a row that was left out; the higher the better."
    )


def _quantile(draws: Any, share: float) -> float:
    import numpy as np

    return float(np.quantile(draws, share))


def _check_out(folder: Path | None) -> None:
    """Refuse, before anything is fitted, a folder that cannot be made."""
    if folder is not None and folder.exists() and not folder.is_dir():
        raise FileError(f"Cannot make the folder '{folder}': there is a file of that name.")


def _check_file(path: Path | None) -> None:
    """Refuse, before anything is fitted, a file that cannot be written."""
    from poolwise.support.atomic_write import check_writable

    if path is not None:
        check_writable(path)


def _write_report(fitted: pw.Fit | pw.PoolingComparison, path: Path | None, quiet: bool) -> None:
    if path is None:
        return
    with _progress(quiet) as progress:
        fitted.report(path, progress=progress)
    typer.echo(f"\nThe report is in {path.resolve()}.")


def _forests(result: pw.Fit) -> dict[str, Callable[[], Any]]:
    """A chart for each grouping factor, by names of files of their own."""
    from poolwise.support.naming import free_name

    factors, found = result.result.model.design.factors, dict[str, Callable[[], Any]]()
    for factor in factors:
        name = "forest" if len(factors) == 1 else "forest-" + re.sub(r"[^\w.-]", "-", factor.name)
        found[free_name(name, found)] = partial(result.plot.forest, by=factor.name)
    return found


def _write_charts(charts: dict[str, Any], folder: Path, quiet: bool) -> None:
    """Draw and write each chart as PNG; say where."""
    from poolwise.output.plots.export import save_chart

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"Cannot make the folder '{folder}': {error.strerror}.") from error
    with _progress(quiet) as progress:
        for i, (name, draw) in enumerate(charts.items()):
            progress(f"drawing {name}.png", i / len(charts))
            save_chart(draw(), folder / f"{name}.png")
    typer.echo(f"\nCharts: {', '.join(f'{name}.png' for name in charts)} in {folder.resolve()}")


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """A Rich bar on standard error that follows the steps; nothing where nobody watches."""
    from poolwise.support.progress import silent

    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def follow(step: str, share: float) -> None:
            bar.update(task, description=step, completed=share)

        yield follow
