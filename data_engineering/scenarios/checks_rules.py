"""What the configuration of a dataset lets vary, read from its `args.log`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_engineering.model.errors import BadInput

MODES = ("pf", "opf")


@dataclass(frozen=True)
class Rules:
    """What may differ between samples.

    Attributes:
        mode: `pf` or `opf`.
        base_mva: of all per-unit values.
        known: whether the configuration is known; if not, costs, impedances and outages may vary.
        generator: of the load scenarios.
        topology: `none`, `n_minus_k` or `random`.
        outages: most elements out of service at once.
        elements: kinds that may be out of service.
        costs, cost_sigma: perturbation of the costs.
        admittances, admittance_sigma: perturbation of the impedances.
    """

    mode: str
    base_mva: float
    known: bool
    generator: str | None = None
    topology: str = "none"
    outages: int = 0
    elements: tuple[str, ...] = ("branch", "gen")
    costs: str = "none"
    cost_sigma: float = 1.0
    admittances: str = "none"
    admittance_sigma: float = 0.2


def read_rules(folder: Path, mode: str | None, base_mva: float) -> Rules:
    """The rules of a dataset.

    Args:
        folder: the raw folder of the dataset.
        mode: goes before the one in `args.log`; None: that one.
        base_mva: of all per-unit values.

    Raises:
        BadInput: the mode is neither given nor in `args.log`, or is no mode.
    """
    config = _configuration(folder / "args.log")
    settings = _block(config, "settings")
    chosen = mode if mode is not None else settings.get("mode")
    if chosen is None:
        raise BadInput("mode", None, f"{folder / 'args.log'} does not tell it; give pf or opf")
    if chosen not in MODES:
        raise BadInput("mode", chosen, "give pf or opf")
    if not base_mva > 0:
        raise BadInput("sn_mva", base_mva, "give the base power of the per-unit values in MVA")
    if not config:
        return Rules(chosen, base_mva, known=False)
    topology = _block(config, "topology_perturbation")
    kinds = topology.get("elements", ("branch", "gen"))
    costs = _block(config, "generation_perturbation")
    admittances = _block(config, "admittance_perturbation")
    return Rules(
        mode=chosen,
        base_mva=base_mva,
        known=True,
        generator=_block(config, "load").get("generator", "agg_load_profile"),
        topology=topology.get("type", "none"),
        outages=int(topology.get("k", 1)),
        elements=tuple(kinds) if topology.get("type") == "random" else ("branch",),
        costs=costs.get("type", "none"),
        cost_sigma=float(costs.get("sigma", 1.0)),
        admittances=admittances.get("type", "none"),
        admittance_sigma=float(admittances.get("sigma", 0.2)),
    )


def _configuration(path: Path) -> Mapping[str, Any]:
    """The YAML below an empty line and a line with the time; empty where there is none."""
    import yaml

    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load("\n".join(path.read_text().splitlines()[2:]))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _block(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}
