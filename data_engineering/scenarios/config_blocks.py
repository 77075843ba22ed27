"""The blocks of a scenario configuration: keys, defaults and ranges.

Keys, defaults and meaning are those of gridfm-datakit 1.1.0, so that its files run unchanged. A
key that the chosen generator or perturbation does not use is accepted and has no effect.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from data_engineering.scenarios.profiles import profile_names

_SUM_TOLERANCE = 1e-8
_MANY_OUTAGES = 1000

Element = Literal["branch", "gen"]


def refused(remedy: str) -> PydanticCustomError:
    """The error of a validator, told by its remedy."""
    # A template would take braces of the remedy for fields.
    return PydanticCustomError("refused", "{remedy}", {"remedy": remedy})


def _not_offered(only: str, why: str) -> BeforeValidator:
    def check(value: object) -> object:
        if value != only:
            raise refused(f"not offered: {why}; write {only} or leave the key out")
        return value

    return BeforeValidator(check)


def _plain_name(name: object) -> object:
    """A name becomes a folder, so it may not leave the one that it is put in."""
    if isinstance(name, str) and not re.fullmatch(r"\w[\w.+-]*", name):
        raise refused("give a name of letters, digits, '_', '.', '-', such as case24_ieee_rts")
    return name


def _elements(value: object) -> object:
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, tuple) and (not value or len(set(map(str, value))) < len(value)):
        raise refused("give branch, gen or both, each once, such as [branch, gen]")
    return value


def _no_seed(value: object) -> object:
    return None if value == "" else value


def _probabilities(value: object, info: ValidationInfo) -> object:
    if isinstance(value, Mapping):
        value = _by_count(value, min(info.data.get("k", 0), _MANY_OUTAGES))
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, tuple):
        for share in value:
            if isinstance(share, bool) or not isinstance(share, int | float):
                raise refused(f"{share!r} is not a number; give numbers from 0 to 1")
            if not 0 <= share <= 1:
                raise refused(f"{share!r} is not a probability; give numbers from 0 to 1")
        value = tuple(float(share) for share in value)
    return value


def _by_count(given: Mapping[Any, Any], k: int) -> list[Any]:
    """The list of k + 1 that a mapping stands for, or longer if it names more outages than k."""
    counts = {_count(count): share for count, share in given.items()}
    return [counts.get(count, 0.0) for count in range(max(k, *counts) + 1)] if counts else []


def _count(key: object) -> int:
    # JSON knows only texts as keys.
    if isinstance(key, str) and key.isdecimal() and len(key) < 4:
        return int(key)
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < _MANY_OUTAGES:
        raise refused(f"{key!r} is not a count of outages; give counts from 0 to k as keys")
    return key


class Block(BaseModel):
    """Frozen values of exact types under known keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class NetworkBlock(Block):
    """Which grid."""

    name: Annotated[str, BeforeValidator(_plain_name)] = Field(
        description="a case of PGLib-OPF without its prefix, or the name of a file"
    )
    source: Literal["pglib", "file"] = Field(
        "pglib", description="pglib: from the library; file: a MATPOWER file"
    )
    network_dir: str = Field("scripts/grids", description="folder of {name}.m")
    file: str | None = Field(None, description="path of the file; before network_dir")
    reader: Annotated[Literal["native"], _not_offered("native", "files are read natively")] = Field(
        "native", description="no other is offered"
    )


class LoadBlock(Block):
    """How demand varies from load scenario to load scenario."""

    generator: Literal["agg_load_profile", "powergraph", "precomputed_profile"] = Field(
        "agg_load_profile",
        description="a profile with noise at each bus, a profile alone, or demand from a file",
    )
    agg_profile: str = Field("default", description="the profile that all demand follows")
    scenario_file: str | None = Field(
        None, description="a .csv or .parquet file of load_scenario, load, p_mw, q_mvar"
    )
    scenarios: int = Field(10_000, ge=1, description="load scenarios")
    sigma: float = Field(0.2, ge=0, le=1, description="noise: factors 1 - sigma to 1 + sigma")
    change_reactive_power: bool = Field(True, description="reactive demand varies too")
    global_range: float = Field(
        0.4, ge=0, le=1, description="demand falls by this share from its upper factor"
    )
    max_scaling_factor: float = Field(4.0, gt=0, description="largest upper factor to try")
    step_size: float = Field(0.1, gt=0, description="step of the search for the upper factor")
    start_scaling_factor: float = Field(1.0, gt=0, description="first upper factor to try")

    @model_validator(mode="after")
    def _applicable(self) -> Self:
        if self.generator == "precomputed_profile":
            if self.scenario_file is None:
                raise misuse("scenario_file", None, "name the file of the load scenarios")
            return self
        known = profile_names()
        if self.agg_profile not in known:
            raise misuse("agg_profile", self.agg_profile, f"give one of: {', '.join(known)}")
        if (
            self.generator == "agg_load_profile"
            and self.max_scaling_factor < self.start_scaling_factor
        ):
            least = f"give at least start_scaling_factor, {self.start_scaling_factor:g}"
            raise misuse("max_scaling_factor", self.max_scaling_factor, least)
        return self


class TopologyBlock(Block):
    """What is out of service in the variants of a load scenario."""

    type: Literal["none", "n_minus_k", "random"] = Field(
        "none", description="no outages, all of up to k branches, or random ones"
    )
    k: int = Field(1, ge=0, description="elements out at once, at most")
    n_topology_variants: int = Field(20, ge=1, description="variants of each load scenario")
    elements: Annotated[tuple[Element, ...], BeforeValidator(_elements)] = Field(
        ("branch", "gen"), description="what may be out"
    )
    outage_count_probabilities: Annotated[
        tuple[float, ...] | None, BeforeValidator(_probabilities)
    ] = Field(None, description="of 0, 1, ..., k outages; without: 1 to k alike")

    @model_validator(mode="after")
    def _applicable(self) -> Self:
        if self.type != "none" and self.k < 1:
            raise misuse("k", self.k, "give 1 or more, or type none for no outages")
        if self.type == "random" and self.outage_count_probabilities is not None:
            self._check_probabilities(self.outage_count_probabilities)
        return self

    def _check_probabilities(self, given: tuple[float, ...]) -> None:
        key, shown = "outage_count_probabilities", list(given)
        if len(given) != self.k + 1:
            remedy = f"give {self.k + 1} probabilities, of 0 to k = {self.k} outages"
            raise misuse(key, shown, remedy)
        total = math.fsum(given)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise misuse(key, shown, f"the sum is {total:.10g}; make it 1")


class GenerationBlock(Block):
    """What becomes of the generators' costs."""

    type: Literal["none", "cost_permutation", "cost_perturbation"] = Field(
        "none", description="as in the case, exchanged between generators, or scaled"
    )
    sigma: float = Field(1.0, ge=0, description="factors max(0, 1 - sigma) to 1 + sigma")


class AdmittanceBlock(Block):
    """What becomes of the branches' impedances."""

    type: Literal["none", "random_perturbation"] = Field(
        "none", description="as in the case, or R and X scaled"
    )
    sigma: float = Field(0.2, ge=0, description="factors max(0, 1 - sigma) to 1 + sigma")


class SettingsBlock(Block):
    """How the work is done, and what is kept of it.

    `pf_fast` and `dcpf_fast` choose between solvers of gridfm-datakit; here they have no effect.
    """

    num_processes: int = Field(16, ge=1, description="worker processes; not part of the data")
    data_dir: str = Field(
        "./data_out", min_length=1, description="the dataset is {data_dir}/{name}/raw"
    )
    large_chunk_size: int = Field(
        1000, ge=1, description="load scenarios of a piece of work; not part of the data"
    )
    overwrite: bool = Field(True, description="if not, a finished dataset is added to")
    mode: Literal["pf", "opf"] = Field(
        "pf", description="power flows after one OPF a load scenario, or an OPF a sample"
    )
    include_dc_res: bool = Field(True, description="also the DC solution of each sample")
    enable_solver_logs: bool = Field(True, description="keep the solvers' logs")
    pf_fast: bool = Field(True, description="accepted, without effect")
    dcpf_fast: bool = Field(True, description="accepted, without effect")
    max_iter: int = Field(200, ge=1, description="iterations of an OPF, at most")
    seed: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_no_seed)] = Field(
        None, description="a whole number repeats a dataset; without, one is drawn and recorded"
    )
    opf_formulation: Literal["polar", "rectangular"] = Field(
        "polar", description="coordinates of the voltages in the AC-OPF"
    )
    pf_solver: Annotated[
        Literal["powermodel"], _not_offered("powermodel", "one solver serves every case")
    ] = Field("powermodel", description="no other is offered")


def misuse(key: str, value: object, remedy: str) -> PydanticCustomError:
    """The error of one key of a block, found when the whole block is known."""
    return PydanticCustomError("misuse", "{remedy}", {"key": key, "value": value, "remedy": remedy})
