"""Names, order and colours of the report; the colours are those of Okabe and Ito (2008).

They are told apart with any colour vision, on white and on dark paper; kinds of one fuel share
its hue. Every chart has a table beside it, so that no meaning rests on colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE, GREY = "#E69F00", "#D55E00", "#CC79A7", "#7A7A7A"
SCALE = "Cividis"

KINDS = {
    ("Nuclear", "NUCLEAR"): ("Nuclear", PURPLE),
    ("Hydro", "HYDRO"): ("Hydro", BLUE),
    ("Wind", "WIND"): ("Wind", SKY),
    ("Solar", "PV"): ("Solar PV", YELLOW),
    ("Solar", "RTPV"): ("Solar rooftop", "#C9BE1F"),
    ("Solar", "CSP"): ("Solar tower", "#8F8710"),
    ("Coal", "STEAM"): ("Coal", GREY),
    ("NG", "CC"): ("Gas CC", ORANGE),
    ("NG", "CT"): ("Gas CT", "#A87400"),
    ("Oil", "STEAM"): ("Oil steam", VERMILLION),
    ("Oil", "CT"): ("Oil CT", "#8A3D00"),
    ("Storage", "STORAGE"): ("Storage", GREEN),
    ("Sync_Cond", "SYNC_COND"): ("Synchronous condenser", "#B8B8B8"),
}
"""Fuel and generator type to label and colour, from the bottom of the stack to its top."""
OTHERS = ("#8C6D31", "#4B4B8F", "#2F7F7F", "#9C5B7A")
"""Colours of what is not named above."""

UNIT_TYPES = {"NUCLEAR": PURPLE, "STEAM": GREY, "CC": ORANGE, "CT": VERMILLION}
"""Types of the units that a commitment switches, in the order in which they are drawn."""

_COLOURS = dict(KINDS.values())


def fuel_labels(rows: pd.DataFrame) -> pd.Series:
    """What each row of `generator_dispatch` runs on: its fuel, and its type where that matters."""
    return pd.Series(
        [
            KINDS[pair][0] if pair in KINDS else " ".join(pair)
            for pair in zip(rows["fuel"], rows["generator_type"], strict=True)
        ],
        index=rows.index,
        dtype=object,
    )


def fuel_order(labels: Iterable[str]) -> list[str]:
    """The labels as they are stacked: known ones first, others by name."""
    given = set(labels)
    return [label for label in _COLOURS if label in given] + sorted(given - set(_COLOURS))


def fuel_colour(label: str, labels: Iterable[str]) -> str:
    """The label's colour; of those not known, by its place among `labels`."""
    if label in _COLOURS:
        return _COLOURS[label]
    unknown = sorted(set(labels) - set(_COLOURS))
    return OTHERS[unknown.index(label) % len(OTHERS)]
