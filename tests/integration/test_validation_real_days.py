"""Real days pass, on files; Data Docs are whole, do not grow, and outlive a failure."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
import warnings
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from data_engineering.ingestion import rts_gmlc
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.errors import BadInput, DiskFull
from data_engineering.model.time import Window
from data_engineering.settings import Quality
from data_engineering.validation.checkpoints import (
    Batch,
    CheckOutcome,
    docs_page,
    open_context,
    run_checkpoint,
)
from data_engineering.validation.quality_checks import References

pytestmark = pytest.mark.integration

READINGS = ("scada_generation", "scada_load")
UNMEASURED = {"bounds:voltage_magnitude", "share:voltage_magnitude", "share:frequency_hz"}


@pytest.fixture(autouse=True)
def library() -> None:
    with warnings.catch_warnings():
        # The library's own imports use what Python and its dependencies have deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("great_expectations")


def frames_of(day: date) -> dict[str, pd.DataFrame]:
    folder = rts_gmlc.source_folder(None)
    window = Window.of_day(day)
    return {name: source.read(folder, window, "rts_gmlc") for name, source in SOURCES.items()}


def references_of(name: str, day: date) -> References:
    units = rts_gmlc.read_source_tables(rts_gmlc.source_folder(None))["gen"]
    return References(
        window=Window.of_day(day, 1 if name in READINGS else 2),
        interval_minutes=5 if name in READINGS else 60,
        capability_mw=dict(zip(units["GEN UID"], units["PMax MW"].astype(float), strict=True)),
    )


def check_day(folder: Path, day: date) -> dict[str, CheckOutcome]:
    with open_context(folder) as context:
        return {
            name: run_checkpoint(
                context,
                f"{SOURCES[name].table.name}_checkpoint",
                frame,
                Batch("rts_gmlc", day),
                Quality(),
                references_of(name, day),
            )
            for name, frame in frames_of(day).items()
        }


@pytest.mark.parametrize("text", ["2020-07-06", "2020-01-27", "2020-10-27", "2020-12-31"])
def test_real_days_pass_without_a_rejected_row(tmp_path: Path, text: str) -> None:
    outcomes = check_day(tmp_path / "docs", date.fromisoformat(text))
    for name, outcome in outcomes.items():
        assert outcome.failed == (), name
        assert outcome.rejected.empty, name
        assert not outcome.metrics["success"].eq(False).fillna(False).any(), name
    metrics = outcomes["scada_generation"].metrics.set_index("check_name")
    assert metrics.loc[list(UNMEASURED), "success"].isna().all()
    assert metrics.loc["row:share_of_capability", "evaluated_rows"] == 80 * 288


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.html"))


def test_data_docs_have_a_page_for_each_table_and_do_not_grow(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    check_day(folder, date(2020, 7, 6))
    first = files(folder)
    assert docs_page(folder).is_file()
    for source in SOURCES.values():
        assert f"{source.table.name}_suite.html" in first
        assert source.table.name in docs_page(folder).read_text()
    assert len(first) == 1 + 2 * len(SOURCES)  # index, a suite and a run of each
    check_day(folder, date(2020, 7, 6))
    assert files(folder) == first
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_run_that_breaks_off_leaves_the_earlier_docs(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    with open_context(folder):
        pass
    before = docs_page(folder).stat().st_mtime_ns
    with pytest.raises(RuntimeError, match="broke off"), open_context(folder):
        raise RuntimeError("broke off")
    assert docs_page(folder).stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "docs"
    with pytest.raises(BadInput, match="give a folder that can be written"), open_context(folder):
        pass


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    with pytest.raises(DiskFull, match="free some space"), open_context(folder):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not folder.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".docs.lock"]


SCRIPT = """
import sys
from pathlib import Path
from data_engineering.validation.checkpoints import open_context
for _ in range(3):
    with open_context(Path(sys.argv[1])):
        pass
"""


def test_two_processes_on_one_folder_leave_whole_docs(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert docs_page(folder).is_file()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
