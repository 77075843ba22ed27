"""Names, order and colours of the report; colours are those of Okabe and Ito (2008).

They are told apart with any colour vision, on white and on dark paper; every chart has a table
beside it, so that no meaning rests on colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE, GREY = "#E69F00", "#D55E00", "#CC79A7", "#7A7A7A"
SCALE = "Cividis"

FUELS = {
    "Nuclear": ("Nuclear", PURPLE),
    "Hydro": ("Hydro", BLUE),
    "Wind": ("Wind", SKY),
    "Solar": ("Solar", YELLOW),
    "Coal": ("Coal", GREY),
    "NG": ("Natural gas", ORANGE),
    "Oil": ("Oil", VERMILLION),
    "Storage": ("Storage", GREEN),
    "Sync_Cond": ("Synchronous condenser", "#B8B8B8"),
}
"""Fuel to its label and colour, from the bottom of the stack to its top."""
OTHERS = ("#8C6D31", "#4B4B8F", "#2F7F7F", "#9C5B7A")
"""Colours of fuels that are not named above."""

UNIT_TYPES = {
    "NUCLEAR": PURPLE,
    "STEAM": GREY,
    "CC": ORANGE,
    "CT": VERMILLION,
}
"""Types of the units that a commitment switches, in the order in which they are drawn."""


def fuel_order(fuels: Iterable[str]) -> list[str]:
    """The fuels as they are stacked: known ones first, others by name."""
    given = set(fuels)
    return [fuel for fuel in FUELS if fuel in given] + sorted(given - set(FUELS))


def fuel_label(fuel: str) -> str:
    """The fuel's name for people."""
    return FUELS[fuel][0] if fuel in FUELS else fuel


def fuel_colour(fuel: str, fuels: Iterable[str]) -> str:
    """The fuel's colour; of those not known, by its place among `fuels`."""
    if fuel in FUELS:
        return FUELS[fuel][1]
    unknown = sorted(set(fuels) - set(FUELS))
    return OTHERS[unknown.index(fuel) % len(OTHERS)]
