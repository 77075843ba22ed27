"""Exchange bundles for people: a case to a folder, and a folder's results to tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from data_engineering.model.errors import BadInput, SourceFileMissing
from data_engineering.orchestration.case_solve import Wanted, request_of, write_tables
from data_engineering.orchestration.exchange_client import read_result, request_files
from data_engineering.orchestration.exchange_queue import read_folder, write_folder
from data_engineering.orchestration.steps import Facts, Progress
from data_engineering.settings import Settings, get_settings
from data_engineering.transformation.exchange_hdf5 import bundle_hdf5
from data_engineering.transformation.exchange_request import request_from_files

HDF5 = "bundle.h5"
OURS = ("results", HDF5, "heartbeat", "attempts", "solver.log", "failure.json")
"""What is in the folder of a bundle besides the bundle."""
MODE = 0o755


def export_case(
    wanted: Wanted,
    folder: Path,
    progress: Progress,
    settings: Settings | None = None,
    *,
    hdf5: bool = False,
) -> Facts:
    """Write a case as an exchange bundle; the folder appears when it is whole.

    Args:
        wanted: what is asked for, for solver julia.
        folder: new folder.
        progress: called with a line of text as the work goes on.
        settings: None for those of the environment.
        hdf5: write the same content as bundle.h5 too.

    Raises:
        LascopfError: the case or an option is at fault, or the folder is there already.
    """
    if folder.exists():
        raise BadInput("folder", str(folder), "give a new one")
    request = request_of(wanted, settings or get_settings(), progress)
    files = request_files(request)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_folder(partial, files, MODE)
    if hdf5:
        (partial / HDF5).write_bytes(bundle_hdf5(files))
    partial.rename(folder)
    manifest = json.loads(files["manifest.json"])
    return {
        "folder": str(folder),
        "request_id": manifest["request_id"],
        "case": wanted.case,
        "kind": wanted.kind,
        "intervals": request.periods.count,
        "outages": len(request.outages),
        "bytes": sum(len(text.encode()) for text in files.values()),
        "notes": manifest["notes"],
    }


def import_results(folder: Path, out: Path | None) -> Facts:
    """Check the results that a solver wrote into a bundle, and write their tables.

    Args:
        folder: of the bundle, with `results` in it.
        out: folder for the tables as parquet, replaced as a whole; None: nothing is written.

    Raises:
        SourceFileMissing: there is no bundle, or it has no results.
        BadInput: the bundle was changed.
        AnswerRefused: the results are not sound, or answer something else.
    """
    for path in (folder / "manifest.json", folder / "results" / "result.json"):
        if not path.is_file():
            raise SourceFileMissing(path, "give the folder of a bundle that a solver answered")
    files = read_folder(folder, OURS)
    request = request_from_files(files)
    result = read_result(folder, request, files["manifest.json"])
    if out is not None:
        write_tables(out, result.tables)
    return {
        "case": request.grid.case_name,
        "kind": request.kind,
        "status": result.status,
        "objective": result.objective,
        "iterations": result.iterations,
        "seconds": result.seconds,
        "solver": f"{result.solver} {result.version}",
        "residuals": dict(result.residuals),
        "notes": list(result.notes),
        "tables": {name: len(frame) for name, frame in result.tables.items()},
        "out": None if out is None else str(out),
    }
