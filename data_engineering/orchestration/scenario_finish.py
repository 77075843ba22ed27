"""The end of a run: what tells of the whole dataset, and the manifest as its last file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_engineering.model.errors import NotSolved
from data_engineering.orchestration.scenario_parts import (
    STAGED,
    TAIL,
    PartFacts,
    facts_of,
    output_key,
    part_key,
    pieces,
    read_json,
    spans,
)
from data_engineering.orchestration.scenario_plan import WORK, Plan, Run
from data_engineering.orchestration.scenario_target import MANIFEST
from data_engineering.scenarios.config import config_from
from data_engineering.scenarios.contract import PARTITION, failures_schema, partitions
from data_engineering.scenarios.dataset import write_bus_mapping
from data_engineering.scenarios.load_tables import load_page, write_loads
from data_engineering.scenarios.parts import open_part, write_part
from data_engineering.storage.objects import ObjectStore

FORMAT = 1
SWAP = f"{WORK}/swap.json"
FAILURES = "failures.parquet"

Files = dict[str, dict[str, Any]]


def check_solved(plan: Plan, parts: Sequence[PartFacts]) -> None:
    """See that there is something to write.

    Raises:
        NotSolved: every sample has failed.
    """
    if any(part.solved for part in parts):
        return
    reasons = ", ".join(f"{reason} ({count})" for reason, count in failures_of(parts).items())
    name = plan.config["network"]["name"]
    remedy = "lower the demand or the outages, then start again by --replace"
    raise NotSolved("every sample", name, f"without a solution: {reasons}", remedy)


def failures_of(parts: Sequence[PartFacts]) -> dict[str, int]:
    """Failed samples by their reason."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part.failures)
    return dict(sorted(total.items()))


def finish(run: Run, parts: Sequence[PartFacts], files: Mapping[str, Any]) -> dict[str, Any]:
    """Write what tells of the whole dataset, put staged files in place, write the manifest.

    Args:
        run: an open run, all of whose parts and partitions are there.
        parts: what its parts hold.
        files: digest and length of each file of its partitions.

    Returns:
        The manifest.
    """
    before = read_json(run.store, MANIFEST) or {}
    known: Files = {**before.get("files", {}), **files}
    known[FAILURES] = _write_failures(run, parts)
    known |= _write_loads(run)
    _write_tail(run, parts)
    _write_logs(run, parts)
    manifest = _manifest(run, parts, known, before)
    count = str(manifest["scenarios"]).encode()
    run.store.write_bytes(output_key(run.plan, "n_scenarios.txt"), count)
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    if not run.plan.appends:
        run.store.write_bytes(MANIFEST, text)
        return manifest
    run.store.write_bytes(f"{STAGED}/{MANIFEST}", text)
    gone = [] if manifest["scenarios"] % PARTITION else [TAIL]
    staged = [key.removeprefix(f"{STAGED}/") for key in run.store.list(f"{STAGED}/")]
    staged.sort(key=lambda key: key == MANIFEST)  # last, since it says that all is there
    run.store.write_bytes(SWAP, json.dumps({"moved": staged, "gone": gone}).encode())
    finish_swap(run.store)
    return manifest


def finish_swap(store: ObjectStore) -> None:
    """Put staged files in place; begun again, it goes on."""
    swap = read_json(store, SWAP)
    if swap is None:
        return
    store.delete(swap["gone"])
    for key in swap["moved"]:
        if store.exists(f"{STAGED}/{key}"):
            store.move(f"{STAGED}/{key}", key)
    store.delete([SWAP])


def _manifest(
    run: Run, parts: Sequence[PartFacts], files: Files, before: Mapping[str, Any]
) -> dict[str, Any]:
    plan, grid = run.plan, run.case.grid
    solved = sum(part.solved for part in parts)
    failed = sum(part.samples for part in parts) - solved
    failures = Counter(before.get("failures", {})) + Counter(failures_of(parts))
    scenarios = plan.solved_before + solved
    return {
        "format": FORMAT,
        "name": run.config.network.name,
        "mode": run.config.settings.mode,
        "seed": before.get("seed", plan.seed),
        "config_digest": plan.digest,
        "versions": plan.versions,
        "case": {
            "digest": run.case.digest,
            "base_mva": grid.base_mva,
            "buses": len(grid.buses),
            "branches": len(grid.branches),
            "generators": len(grid.generators),
        },
        "load_scenarios": plan.first + plan.count,
        "scenarios": scenarios,
        "partitions": partitions(scenarios),
        "failed": before.get("failed", 0) + failed,
        "failures": dict(sorted(failures.items())),
        "runs": [*before.get("runs", []), _this_run(plan, solved, failed)],
        "files": {name: facts for name, facts in files.items() if _reproducible(name)},
    }


def _this_run(plan: Plan, solved: int, failed: int) -> dict[str, Any]:
    return {
        "first_load_scenario": plan.first,
        "load_scenarios": plan.count,
        "seed": plan.seed,
        "upper_factor": plan.factor,
        "scenarios": solved,
        "failed": failed,
        "config": plan.config,
        "config_digest": plan.digest,
        "determining": plan.determining,
        "versions": plan.versions,
        "started_at": plan.started_at,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _reproducible(name: str) -> bool:
    return not name.startswith("runtime_data")


def _write_failures(run: Run, parts: Sequence[PartFacts]) -> dict[str, Any]:
    with (
        run.store.writing(output_key(run.plan, FAILURES)) as draft,
        pq.ParquetWriter(draft.stream, failures_schema(), compression="zstd") as writer,
    ):
        for table in _failures(run, parts):
            writer.write_table(table)
    return facts_of(draft)


def _failures(run: Run, parts: Sequence[PartFacts]) -> Iterator[pa.Table]:
    if run.plan.appends:
        with run.store.fetched(FAILURES) as path, pq.ParquetFile(path) as earlier:
            for batch in earlier.iter_batches():
                yield pa.Table.from_batches([batch])
    yield from _new_failures(run, parts)


def _new_failures(run: Run, parts: Sequence[PartFacts]) -> Iterator[pa.Table]:
    for number, part in enumerate(parts):
        if part.failures:
            with run.store.fetched(part_key(number)) as path:
                yield open_part(path).failures()


def _write_loads(run: Run) -> Files:
    """The demands of all load scenarios as a table and a page, and the buses' original ids."""
    plan, name = run.plan, f"scenarios_{run.config.load.generator}"
    table, page, mapping = f"{name}.parquet", f"{name}.html", "bus_mapping.parquet"
    demands = (run.sampler.demand(plan.first + k) for k in range(plan.count))
    files: Files = {}
    with run.store.writing(output_key(plan, table)) as draft, ExitStack() as kept:
        earlier = None
        if plan.appends:
            earlier = kept.enter_context(kept.enter_context(run.store.fetched(table)).open("rb"))
        write_loads(draft.stream, demands, first=plan.first, earlier=earlier)
    files[table] = facts_of(draft)
    html = load_page(run.sampler.demand, plan.count, run.case.bus_ids, first=plan.first)
    if html is not None:
        with run.store.writing(output_key(plan, page)) as draft:
            draft.stream.write(html.encode())
        files[page] = facts_of(draft)
    with run.store.writing(output_key(plan, mapping)) as draft:
        write_bus_mapping(draft.stream, run.case)
    files[mapping] = facts_of(draft)
    return files


def _write_tail(run: Run, parts: Sequence[PartFacts]) -> None:
    solved = [part.solved for part in parts]
    total = run.plan.solved_before + sum(solved)
    if total % PARTITION == 0:
        return
    where = spans(run.plan, solved, total // PARTITION)
    with run.store.writing(output_key(run.plan, TAIL)) as draft:
        write_part(draft.stream, pieces(run.store, where))


def _write_logs(run: Run, parts: Sequence[PartFacts]) -> None:
    plan, began = run.plan, f"\nNew generation started at {run.plan.started_at}\n"
    settings = {**run.config.model_dump(mode="json")["settings"], "seed": plan.seed}
    config = config_from({**plan.config, "settings": settings}, "the plan")
    generator = run.config.load.generator
    texts = {
        "args.log": began + config.as_yaml(),
        "error.log": began + "".join(_error_lines(run, parts)),
        f"scenarios_{generator}.log": began + _load_log(plan),
    }
    if not run.store.exists("tqdm.log"):  # a run on one machine writes it as it goes
        texts["tqdm.log"] = began
    for key, text in texts.items():
        run.store.write_bytes(output_key(plan, key), text.encode())


def _load_log(plan: Plan) -> str:
    lines = [
        f"load scenarios {plan.first} to {plan.first + plan.count - 1}",
        f"seed {plan.seed}",
    ]
    if plan.factor is not None:
        lines.append(f"upper factor {plan.factor:g}: the largest at which the AC-OPF solves")
    return "\n".join(lines) + "\n"


def _error_lines(run: Run, parts: Sequence[PartFacts]) -> Iterator[str]:
    for table in _new_failures(run, parts):
        names = ("load_scenario_idx", "variant", "stage", "reason")
        for number, variant, stage, reason in zip(
            *(table[name].to_pylist() for name in names), strict=True
        ):
            yield f"load scenario {number}, variant {variant}: {stage}: {reason}\n"
