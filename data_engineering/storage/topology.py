"""Versions of each case's grid, each with the window of time in which it is valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Engine

from data_engineering.model.errors import BadInput, NoRows
from data_engineering.storage.database import driver_cursor

_COUNTS = {
    "bus_count": "buses",
    "branch_count": "branches",
    "generator_count": "generators",
    "load_count": "loads",
    "storage_count": "storages",
}


def register_topology(
    engine: Engine, case_name: str, document: Mapping[str, Any], valid_from: datetime
) -> int:
    """The number of the grid version that is valid from `valid_from`; made where it is new.

    Versions of a case follow one another without overlap. A document equal to the version valid
    at that time keeps its number; one equal to the first version, given for an earlier time,
    moves that version's start there. Another document becomes a new version: it ends the one
    valid before it and lasts until the next begins.

    Args:
        engine: the metadata database.
        case_name: grid case.
        document: the grid as JSON values, with `base_mva` and a list (or a mapping of columns)
            for each kind of element.
        valid_from: first instant of validity, with a time zone.

    Raises:
        BadInput: the document is not JSON or lacks a part; the time has no zone.
    """
    if valid_from.tzinfo is None:
        raise BadInput("valid_from", valid_from, "give a time with a time zone")
    text = canonical(document)
    digest = hashlib.sha256(text.encode()).hexdigest()
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('network_topology'), hashtext(%s))", (case_name,)
        )
        same = _valid_already(cursor, case_name, digest, valid_from)
        if same is not None:
            return same
        return _add_version(cursor, case_name, document, text, digest, valid_from)


def read_topology(engine: Engine, topology_id: int) -> dict[str, Any]:
    """The grid document of a version.

    Raises:
        NoRows: there is no such version.
    """
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "SELECT system_data::text FROM network_topology WHERE topology_id = %s", (topology_id,)
        )
        row = cursor.fetchone()
    if row is None:
        raise NoRows(
            "network_topology", f"topology_id {topology_id}", "list the ids with `lascopf sql`"
        )
    document: dict[str, Any] = json.loads(row[0])
    return document


def canonical(document: Mapping[str, Any]) -> str:
    """The document as JSON text, the same for equal documents.

    Raises:
        BadInput: it holds what JSON has not, such as NaN.
    """
    try:
        return json.dumps(
            document,
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
            ensure_ascii=False,
        )
    except (TypeError, ValueError) as error:
        raise BadInput("topology document", str(error), "give JSON values") from None


def _valid_already(cursor: Any, case_name: str, digest: str, valid_from: datetime) -> int | None:
    cursor.execute(
        "SELECT topology_id, digest FROM network_topology WHERE case_name = %s "
        "AND valid_from <= %s AND (valid_until IS NULL OR valid_until > %s)",
        (case_name, valid_from, valid_from),
    )
    covering = cursor.fetchone()
    if covering is not None:
        return int(covering[0]) if covering[1] == digest else None
    cursor.execute(
        "UPDATE network_topology SET valid_from = %(start)s WHERE topology_id = ("
        "  SELECT topology_id FROM network_topology WHERE case_name = %(case)s"
        "  AND valid_from > %(start)s AND valid_until IS DISTINCT FROM valid_from"
        "  ORDER BY valid_from LIMIT 1"
        ") AND digest = %(digest)s RETURNING topology_id",
        {"start": valid_from, "case": case_name, "digest": digest},
    )
    moved = cursor.fetchone()
    return None if moved is None else int(moved[0])


def _add_version(
    cursor: Any,
    case_name: str,
    document: Mapping[str, Any],
    text: str,
    digest: str,
    valid_from: datetime,
) -> int:
    cursor.execute(
        "SELECT min(valid_from) FROM network_topology WHERE case_name = %s AND valid_from > %s "
        "AND valid_until IS DISTINCT FROM valid_from",
        (case_name, valid_from),
    )
    valid_until = cursor.fetchone()[0]
    cursor.execute(
        "UPDATE network_topology SET valid_until = %(start)s WHERE case_name = %(case)s "
        "AND valid_from <= %(start)s AND (valid_until IS NULL OR valid_until > %(start)s)",
        {"start": valid_from, "case": case_name},
    )
    counts = {name: _count(document, part) for name, part in _COUNTS.items()}
    cursor.execute(
        "INSERT INTO network_topology (case_name, version, valid_from, valid_until, base_mva, "
        "bus_count, branch_count, generator_count, load_count, storage_count, digest, system_data)"
        " SELECT %(case)s, coalesce(max(version), 0) + 1, %(start)s, %(end)s, %(base)s, "
        "%(bus_count)s, %(branch_count)s, %(generator_count)s, %(load_count)s, %(storage_count)s, "
        "%(digest)s, %(text)s::jsonb FROM network_topology WHERE case_name = %(case)s "
        "RETURNING topology_id",
        counts
        | {"case": case_name, "start": valid_from, "end": valid_until, "digest": digest}
        | {"base": _base(document), "text": text},
    )
    return int(cursor.fetchone()[0])


def _base(document: Mapping[str, Any]) -> float:
    base = document.get("base_mva")
    if not isinstance(base, int | float) or not base > 0:
        raise BadInput("topology document base_mva", base, "give a positive number of MVA")
    return float(base)


def _count(document: Mapping[str, Any], part: str) -> int:
    """Elements of one kind: rows of a list, or the length of a mapping's columns."""
    elements = document.get(part)
    if isinstance(elements, Mapping):
        return max((len(column) for column in elements.values()), default=0)
    if isinstance(elements, list):
        return len(elements)
    raise BadInput("topology document", part, "give the elements of this kind, if only []")
