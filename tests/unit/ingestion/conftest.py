"""The wheel's RTS-GMLC folder, and a small copy of it that tests may damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_engineering.ingestion.rts_gmlc import source_folder

KEPT_DAYS = ("2020,7,4,", "2020,7,5,", "2020,7,6,", "2020,7,7,", "2020,7,8,")


@pytest.fixture(scope="session")
def folder() -> Path:
    return source_folder(None)


@pytest.fixture(scope="session")
def five_days(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RTS-GMLC with the series of 4 to 8 July only."""
    copy = tmp_path_factory.mktemp("rts") / "five_days"
    shutil.copytree(folder / "SourceData", copy / "SourceData")
    for path in (folder / "timeseries_data_files").glob("*/*.csv"):
        header, *rows = path.read_text().splitlines(keepends=True)
        kept = [row for row in rows if row.startswith(KEPT_DAYS)]
        target = copy / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(header + "".join(kept))
    return copy


@pytest.fixture
def damaged(five_days: Path, tmp_path: Path) -> Path:
    """A copy of the small folder for one test to damage."""
    copy = tmp_path / "damaged"
    shutil.copytree(five_days, copy)
    return copy
