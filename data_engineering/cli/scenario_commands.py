"""`lascopf scenarios`: datasets of power flows and optimal power flows, in gridfm's form."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from data_engineering.cli.data_commands import lines
from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output
from data_engineering.model.errors import BadInput, ChecksFailed

_PLAIN_SECONDS = 10.0
_SHOWN = 20
_PLAIN = ("seed", "passed")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of the dataset (.../raw), or its parent.")
]
Partitions = Annotated[
    int, typer.Option("--n-partitions", min=0, help="Partitions to take, spread; 0: all.")
]
Base = Annotated[float, typer.Option("--sn-mva", min=1e-6, help="Base power, MVA.")]


def generate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file; see `init`.")],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say how many samples, how long and how large; write nothing."
        ),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Worker processes. None: settings.num_processes."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="In the place of settings.seed.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take away what stands in the target folder.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a dataset; a run that was ended is gone on with, a finished one left as it is."""
    log_to_file()
    output = Output(as_json=json)
    from data_engineering.orchestration.scenario_estimate import estimate
    from data_engineering.orchestration.scenario_runs import Asked, generate
    from data_engineering.scenarios.config import read_config

    read = read_config(config)
    asked = Asked(seed=seed, processes=processes, replace=replace)
    with output.working(f"scenarios of {read.network.name}"):
        make = estimate if dry_run else generate
        facts = make(read, asked, _seldom(output))
    output.done(facts, lines(_flat(facts)))


def validate(
    folder: Folder,
    n_partitions: Partitions = 100,
    mode: Annotated[str | None, typer.Option(help="pf or opf. None: as the dataset says.")] = None,
    sn_mva: Base = 100.0,
    processes: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes. None: one a processor.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a dataset against the laws that it must keep; exit code 3 when it breaks one."""
    log_to_file()
    from data_engineering.scenarios.checks import check_dataset

    if mode not in (None, "pf", "opf"):
        raise BadInput("--mode", mode, "give pf or opf")
    raw, output = dataset_folder(folder), Output(as_json=json)
    how: dict[str, Any] = {"mode": mode, "n_partitions": n_partitions, "sn_mva": sn_mva}
    with output.working(f"checking {raw}"):
        count = processes or len(os.sched_getaffinity(0))
        findings = check_dataset(raw, processes=count, progress=_partitions(output), **how)
    facts = {
        "folder": str(raw),
        "passed": findings.passed,
        "mode": findings.mode,
        "scenarios": findings.scenarios,
        "partitions": f"{len(findings.partitions)} of {findings.of}",
        "checks": len(findings.checks),
        "findings": findings.counts,
    }
    if findings.passed or json:
        shown = facts | ({"found": [str(each) for each in findings.found]} if json else {})
        output.done(shown, lines(_flat(facts)))
        raise typer.Exit(0 if findings.passed else ChecksFailed.exit_code)
    for finding in findings.found[:_SHOWN]:
        output.note(str(finding))
    raise ChecksFailed(f"dataset {raw}", _counted(findings.counts), "see above, or use --json")


def _counted(counts: Mapping[str, int]) -> list[str]:
    return [f"{name} ({count} times)" for name, count in counts.items()]


def stats(
    folder: Folder,
    n_partitions: Partitions = 100,
    sn_mva: Base = 100.0,
    other: Annotated[
        Path | None,
        typer.Option("--compare", metavar="DIR", help="Tell the coverage beside this dataset's."),
    ] = None,
    json: Json = False,
) -> None:
    """Compute a dataset's statistics: stats.parquet, stats_plot.png and stats_plot.html."""
    log_to_file()
    from data_engineering.scenarios.coverage import compare, read_coverage
    from data_engineering.scenarios.statistics import write_statistics

    raw, output = dataset_folder(folder), Output(as_json=json)
    beside = None if other is None else read_coverage(dataset_folder(other))
    with output.working(f"statistics of {raw}"):
        found = write_statistics(
            raw, n_partitions=n_partitions, sn_mva=sn_mva, progress=_partitions(output)
        )
    facts: dict[str, Any] = {"folder": str(raw), "files": [str(path) for path in found.files]}
    shown = list(facts["files"])
    if beside is not None:
        differences = compare(beside, found.coverage)
        facts["coverage"] = [asdict(each) for each in differences]
        shown += [
            f"coverage of {one.table}.{one.feature}: {one.second:.3f}, there {one.first:.3f}"
            for one in differences
        ]
    output.done(facts, shown)


def plots(
    folder: Folder,
    n_partitions: Partitions = 100,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", help="None: DIR/feature_plots.")
    ] = None,
    sn_mva: Base = 100.0,
    json: Json = False,
) -> None:
    """Plot how the features of a dataset are distributed."""
    log_to_file()
    from data_engineering.scenarios.plots import write_plots

    raw, output = dataset_folder(folder), Output(as_json=json)
    target = output_dir or raw / "feature_plots"
    with output.working(f"plots of {raw}"):
        made = write_plots(
            raw,
            target,
            n_partitions=n_partitions,
            sn_mva=sn_mva,
            progress=_partitions(output),
        )
    output.done({"folder": str(raw), "files": [str(path) for path in made]}, map(str, made))


def init(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path("scenarios.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
    json: Json = False,
) -> None:
    """Write a configuration with every key and what it means."""
    text = files("data_engineering.cli").joinpath("scenario_sample.yaml").read_text()
    if file.exists() and not force:
        raise BadInput("FILE", str(file), "it exists: give another name, or --force to overwrite")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    Output(as_json=json).done(
        {"file": str(file)}, [f"{file} is written; `lascopf scenarios generate {file}` makes it"]
    )


def dataset_folder(path: Path) -> Path:
    """The folder of a dataset, which may be named by its parent.

    Raises:
        BadInput: there is no dataset.
    """
    for folder in (path, path / "raw"):
        if (folder / "bus_data.parquet").is_dir():
            return folder.absolute()
    remedy = "give the folder that holds bus_data.parquet, such as data_out/case24_ieee_rts/raw"
    raise BadInput("DIR", str(path), remedy)


def _seldom(output: Output) -> Callable[[str], None]:
    """Progress often where a person looks on, seldom in a log; never the same twice."""
    said: dict[str, Any] = {"text": None, "at": float("-inf")}

    def say(text: str) -> None:
        now = time.monotonic()
        counted = text[:1].isdigit()
        often = sys.stderr.isatty() or not counted
        if text != said["text"] and (often or now - said["at"] >= _PLAIN_SECONDS):
            output.progress(text)
            said.update(text=text, at=now if counted else said["at"])

    return say


def _partitions(output: Output) -> Callable[[int, int], None]:
    say = _seldom(output)
    return lambda done, wanted: say(f"{done} of {wanted} partitions")


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts for people: failures one a line, nothing that is empty."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}: {key}": item for key, item in value.items()}
        elif value not in (None, ""):
            flat[name] = _shown(name, value)
    return flat


def _shown(name: str, value: Any) -> Any:
    """A value with its unit: bytes as megabytes, large numbers with commas."""
    if name == "bytes":
        return f"{value / 1e6:,.1f} MB"
    if isinstance(value, float):
        return f"{value:,.1f}" if value >= 100.0 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and name not in _PLAIN else value
