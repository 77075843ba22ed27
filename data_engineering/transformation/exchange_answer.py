"""The files of a result (docs/EXCHANGE.md) as arrays; a result that is not whole is refused."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from data_engineering.model.errors import AnswerRefused, BadInput
from data_engineering.model.exchange import RESULT_FORMAT, VERSION, Answer, AnswerFacts, OutageRows
from data_engineering.model.grid import Floats, Texts
from data_engineering.model.problem import SolveRequest, Status
from data_engineering.transformation.exchange_bundle import numbers_of_buses
from data_engineering.transformation.exchange_csv import CsvTable

RESULT = "result.json"
HISTORY = (
    "Iteration",
    "Objective",
    "Bound",
    "Disagreement",
    "Movement",
    "Violation MW",
    "Seconds",
)


def facts_from_files(
    files: Mapping[str, bytes], request_id: str, manifest_sha256: str
) -> AnswerFacts:
    """result.json, held to the request it answers and to the files beside it.

    Args:
        files: of the results folder, by name.
        request_id: the request's.
        manifest_sha256: digest of the request's manifest.json.

    Raises:
        AnswerRefused: it answers another request, a file is not the one it names, or a value is
            not of the format.
    """
    try:
        document = json.loads(files[RESULT])
        given = document["format"], document["version"]
        if given != (RESULT_FORMAT, VERSION):
            raise AnswerRefused(request_id, f"result.json is {given}, not of {RESULT_FORMAT} 1")
        for name, expected in (("request_id", request_id), ("manifest_sha256", manifest_sha256)):
            if document[name] != expected:
                fact = f"{name} is {document[name]}, not {expected}: it answers another request"
                raise AnswerRefused(request_id, fact)
        _check_files(files, document["files"], request_id)
        return _facts(document)
    except KeyError as missing:
        raise AnswerRefused(request_id, f"result.json has no {missing}") from None
    except (ValueError, TypeError, AttributeError) as wrong:
        raise AnswerRefused(request_id, f"result.json is not of the format: {wrong}") from None


def answer_from_files(
    files: Mapping[str, bytes], request: SolveRequest, request_id: str
) -> Answer | None:
    """The tables of a result; None where it has none.

    Raises:
        AnswerRefused: a table is missing or not whole, or a value is not a number.
    """
    if set(files) <= {RESULT}:
        return None
    try:
        return _answer(files, request)
    except BadInput as wrong:
        raise AnswerRefused(request_id, str(wrong)) from None
    except (KeyError, UnicodeDecodeError) as wrong:
        raise AnswerRefused(request_id, f"table {wrong} is missing or not UTF-8") from None


def _check_files(files: Mapping[str, bytes], listed: Mapping[str, Any], request_id: str) -> None:
    for name in sorted(set(listed) ^ (set(files) - {RESULT})):
        raise AnswerRefused(request_id, f"result.json and the folder differ in {name}")
    for name, facts in listed.items():
        digest = hashlib.sha256(files[name]).hexdigest()
        if facts["sha256"] != digest:
            raise AnswerRefused(request_id, f"sha256 of {name} is {digest}, not {facts['sha256']}")


def _facts(document: Mapping[str, Any]) -> AnswerFacts:
    status = document["status"]
    if status not in get_args(Status):
        raise ValueError(f"status is {status!r}")
    return AnswerFacts(
        request_id=document["request_id"],
        status=status,
        objective=_number(document["objective"]),
        bound=_number(document["bound"]),
        total=_number(document["total"]),
        solver=str(document["solver"]),
        solver_version=str(document["solver_version"]),
        julia_version=str(document["julia_version"]),
        threads=int(document["threads"]),
        seconds=float(document["seconds"]),
        iterations=int(document["iterations"]),
        residuals={str(name): float(value) for name, value in document["residuals"].items()},
        notes=tuple(str(note) for note in document["notes"]),
        left_out=tuple(str(name) for name in document["left_out"]),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _answer(files: Mapping[str, bytes], request: SolveRequest) -> Answer:
    grid, count = request.grid, request.periods.count
    buses = numbers_of_buses(grid).astype(np.str_)
    units = _Long(files, "generators.csv", "GEN UID", grid.generators.id, count)
    stores = _Long(files, "stores.csv", "UID", grid.storages.id, count)
    nodes = _Long(files, "buses.csv", "Bus ID", buses, count)
    lines = _Long(files, "branches.csv", "UID", grid.branches.id, count)
    dc = _Long(files, "dc_branches.csv", "UID", grid.dc_lines.id, count)
    system = _Long(files, "system.csv", None, np.array([""]), count)
    history = CsvTable.read("history.csv", files["history.csv"].decode())
    return Answer(
        power=units.values("MW"),
        reserve_up=units.values("Reserve Up MW"),
        reserve_down=units.values("Reserve Down MW"),
        charge=stores.values("Charge MW"),
        discharge=stores.values("Discharge MW"),
        energy=stores.values("Energy MWh"),
        angle=nodes.values("Angle"),
        shed=nodes.values("Shed MW"),
        over=nodes.values("Over MW"),
        price=nodes.values("Price"),
        flow=lines.values("MW"),
        overload=lines.values("Overload MW"),
        shadow=lines.values("Shadow Price"),
        dc_flow=dc.values("MW"),
        up_short=system.values("Up Short MW")[:, 0],
        down_short=system.values("Down Short MW")[:, 0],
        reserve_price=system.values("Reserve Price")[:, 0],
        cost_usd=system.values("Cost")[:, 0],
        outages=_outage_rows(files, request),
        history={name: history.floats(name, math.nan) for name in HISTORY},
    )


class _Long:
    """A table with a row for each interval and element, in this order."""

    def __init__(
        self, files: Mapping[str, bytes], name: str, key: str | None, ids: Texts, count: int
    ) -> None:
        self.table = CsvTable.read(name, files[name].decode())
        self.shape = count, len(ids)
        intervals = [str(t) for t in range(1, count + 1) for _ in ids]
        if self.table.texts("Interval") != intervals:
            remedy = f"give {len(ids)} rows for each interval from 1 to {count}, in order"
            raise BadInput(f"{name} Interval", self.table.count, remedy)
        if key is not None and self.table.texts(key) != ids.tolist() * count:
            raise BadInput(f"{name} {key}", "rows", "give all elements in the request's order")

    def values(self, column: str) -> Floats:
        """A column, shape (T, elements)."""
        return self.table.floats(column).reshape(self.shape)


def _outage_rows(files: Mapping[str, bytes], request: SolveRequest) -> OutageRows:
    table = CsvTable.read("outages.csv", files["outages.csv"].decode())
    names = {outage.id: row for row, outage in enumerate(request.outages)}
    branches = {name: row for row, name in enumerate(request.grid.branches.id.tolist())}
    intervals = {str(t): t - 1 for t in range(1, request.periods.count + 1)}
    return OutageRows(
        interval=table.one_of("Interval", intervals),
        outage=table.one_of("Outage", names),
        branch=table.one_of("UID", branches),
        flow_mw=table.floats("MW"),
        excess_mw=table.floats("Excess MW"),
        shadow_price=table.floats("Shadow Price"),
    )
