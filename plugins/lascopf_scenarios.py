"""The form of `scenario_generation`: one field for each key of a configuration.

Written out, so that parsing the DAG imports no domain code; a test holds it to the configuration.
"""

from typing import Any

from airflow.sdk import Param

ZONES = ("coast", "east", "far_west", "north", "north_central", "south_central", "southern")
PROFILES = ["default", *(f"ercot_load_act_hr_2024_{zone}" for zone in (*ZONES, "total", "west"))]
SECTIONS = {
    "network": "Network",
    "load": "Demand",
    "topology_perturbation": "Outages",
    "generation_perturbation": "Costs",
    "admittance_perturbation": "Impedances",
    "settings": "Solving",
}
MARK = "__"
"""Stands between block and key in a field's name."""


def _field(default: object, kind: str | list[str], text: str, **limits: Any) -> dict[str, Any]:
    return {"default": default, "type": kind, "description": text, **limits}


def _one_of(default: str, known: list[str], text: str) -> dict[str, Any]:
    return _field(default, "string", text, enum=known)


FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "network": {
        "name": _field("case24_ieee_rts", "string", "Of PGLib, or of the file", minLength=1),
        "source": _one_of("pglib", ["pglib", "file"], "pglib, or a .m file on every worker"),
        "file": _field(None, ["null", "string"], "Path of the .m file"),
    },
    "load": {
        "generator": _one_of(
            "agg_load_profile",
            ["agg_load_profile", "powergraph", "precomputed_profile"],
            "Where the demand comes from",
        ),
        "agg_profile": _one_of("default", PROFILES, "Profile of the total demand"),
        "scenario_file": _field(None, ["null", "string"], "precomputed_profile: path of the CSV"),
        "scenarios": _field(10_000, "integer", "Load scenarios", minimum=1),
        "sigma": _field(0.2, "number", "Noise of each load, as a share", minimum=0, maximum=1),
        "change_reactive_power": _field(True, "boolean", "Noise of reactive demand as well"),
        "global_range": _field(
            0.4, "number", "The least demand, below the greatest", minimum=0, maximum=1
        ),
        "start_scaling_factor": _field(
            1.0, "number", "The greatest demand is searched from here", exclusiveMinimum=0
        ),
        "step_size": _field(0.1, "number", "in these steps", exclusiveMinimum=0),
        "max_scaling_factor": _field(4.0, "number", "up to here", exclusiveMinimum=0),
    },
    "topology_perturbation": {
        "type": _one_of("none", ["none", "n_minus_k", "random"], "What is out of service"),
        "k": _field(1, "integer", "Elements out of service, at most", minimum=0),
        "n_topology_variants": _field(
            20, "integer", "random: variants of a load scenario", minimum=1
        ),
        "elements": _field(
            ["branch", "gen"],
            "array",
            "random: what may be out",
            examples=["branch", "gen"],
            items={"type": "string", "enum": ["branch", "gen"]},
            minItems=1,
            uniqueItems=True,
        ),
        "outage_count_probabilities": _field(
            None,
            ["null", "array"],
            "random: probabilities of 0, 1, ... k outages",
            items={"type": "number", "minimum": 0, "maximum": 1},
        ),
    },
    "generation_perturbation": {
        "type": _one_of(
            "none", ["none", "cost_permutation", "cost_perturbation"], "What becomes of costs"
        ),
        "sigma": _field(1.0, "number", "cost_perturbation: its size", minimum=0),
    },
    "admittance_perturbation": {
        "type": _one_of("none", ["none", "random_perturbation"], "What becomes of impedances"),
        "sigma": _field(0.2, "number", "random_perturbation: its size", minimum=0),
    },
    "settings": {
        "mode": _one_of("pf", ["pf", "opf"], "Power flows, or optimal power flows"),
        "include_dc_res": _field(True, "boolean", "DC results as well"),
        "opf_formulation": _one_of("polar", ["polar", "rectangular"], "Coordinates of voltages"),
        "max_iter": _field(200, "integer", "Iterations of the AC-OPF, at most", minimum=1),
        "seed": _field(
            None, ["null", "integer"], "Of all random numbers; empty: from the run's id", minimum=0
        ),
        "large_chunk_size": _field(
            1000, "integer", "Load scenarios that one task solves, at most", minimum=1
        ),
        "enable_solver_logs": _field(True, "boolean", "Keep the logs of the AC-OPF"),
    },
}

YAML = Param(
    None,
    type=["null", "string"],
    format="multiline",
    section="As text",
    description="A whole configuration in YAML, in the place of all fields above",
)
CHECKED = Param(
    100,
    type="integer",
    minimum=0,
    section="Afterwards",
    description="Partitions that are validated and summarised; 0: all",
)


def scenario_params() -> dict[str, Param]:
    """The fields as parameters, named by block and key."""
    fields = {
        f"{block}{MARK}{key}": Param(section=SECTIONS[block], **field)
        for block, keys in FIELDS.items()
        for key, field in keys.items()
    }
    return {**fields, "yaml": YAML, "n_partitions": CHECKED}
