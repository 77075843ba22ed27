"""The two conversions of units that MATPOWER's own distribution cases compute after their tables.

They are known by their text; any other statement that computes is refused.
"""

from __future__ import annotations

import re
from dataclasses import replace

from data_engineering.transformation.matpower_text import Statements, Table, fault

_SPACE = re.compile(r"%[^\n]*|[\s,;]")
_KILOWATTS = "mpc.bus(:[PDQD])=mpc.bus(:[PDQD])/1e3"
_OHMS = "mpc.branch(:[BR_RBR_X])=mpc.branch(:[BR_RBR_X])/(Vbase^2/Sbase)"
_BASES = ("Vbase=mpc.bus(1BASE_KV)*1e3", "Sbase=mpc.baseMVA*1e6")
_SAVE = "save the case from MATPOWER with `savecase`, which writes plain numbers"


def converted(case: Statements, text: str, base_mva: float) -> Statements:
    """The tables in MW and p.u. where the file computes these from kW and ohms.

    Args:
        case: the statements of a file.
        text: the whole file.
        base_mva: base power, MVA.

    Raises:
        BadInput: the file computes something else; says the line.
    """
    tables = dict(case.tables)
    for line, name, statement in case.computed:
        compact = _SPACE.sub("", statement).replace(f"{case.struct}.", "mpc.")
        if compact == _KILOWATTS and "bus" in tables:
            tables["bus"] = _scaled(tables["bus"], ("Pd", "Qd"), 1e3)
        elif compact == _OHMS and {"bus", "branch"} <= set(tables) and _has_bases(case, text):
            volts = float(tables["bus"]["baseKV"][0]) * 1e3
            tables["branch"] = _scaled(tables["branch"], ("r", "x"), volts**2 / (base_mva * 1e6))
        else:
            raise fault(case.case_name, line, f"mpc.{name}", "a computed value", _SAVE)
    return replace(case, tables=tables)


def _scaled(table: Table, columns: tuple[str, str], divisor: float) -> Table:
    places = [table.columns.index(column) for column in columns]
    values = table.values.copy()
    values[:, places] /= divisor
    return replace(table, values=values)


def _has_bases(case: Statements, text: str) -> bool:
    compact = _SPACE.sub("", text).replace(f"{case.struct}.", "mpc.")
    return all(base in compact for base in _BASES)
