"""Checks of the bus admittance matrix, entry by entry, and of the network's connection."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Flags, Ints
from data_engineering.scenarios.checks_network import ADMITTANCE_PU, ADMITTANCE_SHARE
from data_engineering.scenarios.checks_view import Complexes, View


def check_matrix(view: View) -> None:
    """Entries are the sums of the stored branch admittances and shunts, each once; none is 0.

    The diagonal holds the admittances of a bus's own branch ends and its shunt; off it stand
    those between the ends.
    """
    keys, expected = _expected(view)
    stored, known = _stored(view, keys)
    bound = ADMITTANCE_PU + ADMITTANCE_SHARE * np.abs(expected)
    wrong = known & (np.abs(stored - expected) > bound)
    missing = ~known & (np.abs(expected) > bound)
    for places, values in ((wrong, stored), (missing, None)):
        for s, k in np.argwhere(places):
            i, j = divmod(int(keys[k]), view.buses)
            value = "missing" if values is None else f"{values[s, k]:.10g}"
            bound_text = f"{expected[s, k]:.10g}"
            _note(view, int(view.part.scenario[s]), i, j, value, bound_text)


def _expected(view: View) -> tuple[Ints, Complexes]:
    """Places (row * buses + column), ascending, and the values there, shape (S, places)."""
    from scipy.sparse import csr_matrix

    f, t, n = view.from_bus, view.to_bus, view.buses
    diagonal = np.arange(n)
    places = np.concatenate([f * n + f, f * n + t, t * n + f, t * n + t, diagonal * (n + 1)])
    keys, where = np.unique(places, return_inverse=True)
    y, bus = view.admittance, view.part.bus
    shunt = bus["GS"] + 1j * bus["BS"]
    terms = np.concatenate([y["ff"], y["ft"], y["tf"], y["tt"], shunt], axis=1)
    count = len(where)
    gather = csr_matrix((np.ones(count), (where, np.arange(count))), shape=(len(keys), count))
    return keys, np.ascontiguousarray((gather @ terms.T).T)


def _stored(view: View, keys: Ints) -> tuple[Complexes, Flags]:
    """The stored entries at the places, and which places are stored; notes the others."""
    entries, n, width = view.part.y_bus, view.buses, len(keys)
    row, across = entries["index1"], entries["index2"]
    place = row * n + across
    at = np.minimum(np.searchsorted(keys, place), width - 1)
    inside = (row >= 0) & (row < n) & (across >= 0) & (across < n)
    known = inside & (keys[at] == place)
    flat = (entries["sample"] * width + at)[known]
    twice = np.zeros(len(place), dtype=np.bool_)
    twice[np.flatnonzero(known)[_repeated(flat)]] = True
    zero = (entries["G"] == 0) & (entries["B"] == 0)
    for k in np.flatnonzero(~known | twice | zero):
        what = "a second time" if twice[k] else "an entry of 0" if zero[k] else "an entry"
        scenario = int(entries["scenario"][k])
        _note(view, scenario, int(row[k]), int(across[k]), what, "one where a branch or shunt is")
    values = np.zeros(len(view.part) * width, dtype=np.complex128)
    values[flat] = (entries["G"] + 1j * entries["B"])[known]
    present = np.zeros(len(values), dtype=np.bool_)
    present[flat] = True
    shape = (len(view.part), width)
    return values.reshape(shape), present.reshape(shape)


def _repeated(values: Ints) -> Flags:
    """Values that an earlier one equals."""
    repeated = np.ones(len(values), dtype=np.bool_)
    repeated[np.unique(values, return_index=True)[1]] = False
    return repeated


def _note(view: View, scenario: int, row: int, across: int, value: str, bound: str) -> None:
    view.log.one(
        "y_bus",
        value,
        bound,
        table="y_bus_data",
        column="G + jB",
        scenario=scenario,
        element=f"entry {row}, {across}",
    )


def check_connection(view: View) -> None:
    """Branches in service join all buses."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    packed = np.packbits(view.branch_on, axis=1)
    codes = packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    n = view.buses
    parts = []
    for on in view.branch_on[first]:
        ends = (view.from_bus[on], view.to_bus[on])
        joined = coo_matrix((np.ones(int(on.sum())), ends), shape=(n, n))
        parts.append(connected_components(joined, directed=False)[0])
    found = np.array(parts)[which]
    view.sample("branch_data").wrong(
        "connection", "br_status", found > 1, found, "1: all buses joined"
    )
