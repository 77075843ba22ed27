"""Samples: streams, sharing between variants, the law of costs and impedances."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
from solve_cases import pglib

from data_engineering.model.errors import BadInput
from data_engineering.model.samples import Samples
from data_engineering.scenarios import sampler as sampler_module
from data_engineering.scenarios.case import ScenarioCase, prepare
from data_engineering.scenarios.config import config_from
from data_engineering.scenarios.sampler import Sampler, sampler_of
from data_engineering.scenarios.streams import Purpose, stream


@cache
def case_of(name: str) -> ScenarioCase:
    return prepare(pglib(name))


def made(name: str = "case14_ieee", seed: int = 11, first: int = 0, **blocks: Any) -> Sampler:
    chosen = {
        "network": {"name": name},
        "load": {"scenarios": 50},
        "topology_perturbation": {"type": "random", "n_topology_variants": 6},
        "generation_perturbation": {"type": "cost_perturbation", "sigma": 0.5},
        "admittance_perturbation": {"type": "random_perturbation"},
        **blocks,
    }
    return sampler_of(case_of(name), config_from(chosen, "here"), seed, 2.0, first)


def whole(sampler: Sampler, load_scenario: int) -> Samples:
    pieces = list(sampler.samples(load_scenario))
    columns = {
        f.name: np.concatenate([getattr(p, f.name) for p in pieces]) for f in fields(Samples)
    }
    return Samples(**columns)


def assert_same(one: Samples, other: Samples) -> None:
    for field in fields(Samples):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("mode", ["pf", "opf"])
def test_a_load_scenario_is_the_same_whatever_was_drawn_before(mode: str) -> None:
    blocks = {"settings": {"mode": mode, "num_processes": 3, "large_chunk_size": 7}}
    one = made(**blocks)
    alone = whole(one, 31)
    other = made(settings={"mode": mode})
    for load_scenario in (49, 0, 31, 12):
        whole(other, load_scenario)
    assert_same(alone, whole(other, 31))
    assert_same(alone, whole(one, 31))


def test_small_pieces_hold_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = made(settings={"mode": "opf"}, generation_perturbation={"type": "cost_permutation"})
    expected = whole(sampler, 4)
    monkeypatch.setattr(sampler_module, "PIECE_BYTES", 4000)
    assert len(list(sampler.samples(4))) > 1
    assert_same(expected, whole(sampler, 4))


def test_other_seeds_and_load_scenarios_differ() -> None:
    drawn = [whole(made(seed=seed), n) for seed in (1, 2) for n in (5, 6)]
    for name in ("load_p_mw", "branch_on", "cost", "x_pu"):
        assert len({getattr(samples, name).tobytes() for samples in drawn}) == 4, name


def test_one_perturbation_does_not_move_another() -> None:
    full = whole(made(), 8)
    plain = whole(made(generation_perturbation={"type": "none"}), 8)
    for name in ("load_p_mw", "load_q_mvar", "branch_on", "unit_on", "r_pu", "x_pu"):
        np.testing.assert_array_equal(getattr(full, name), getattr(plain, name))
    more = {"type": "random", "n_topology_variants": 9}
    nine = whole(made(topology_perturbation=more, settings={"mode": "opf"}), 8)
    six = whole(made(settings={"mode": "opf"}), 8)
    assert_same(six, nine.rows(slice(0, 6)))


def test_appended_load_scenarios_have_streams_of_their_own() -> None:
    """They go through the profile again: the same factors, other noise."""
    blocks = {"load": {"scenarios": 50, "sigma": 0.1, "global_range": 0.9}}
    first, second = made(**blocks), made(first=50, **blocks)
    p_first, p_second = first.demand(3)[0], second.demand(53)[0]
    some = p_first > 0
    assert (p_first[some] != p_second[some]).all()
    np.testing.assert_allclose(p_second[some] / p_first[some], 1.0, atol=1.1 / 0.9 - 1)
    for sampler, outside in ((first, 50), (second, 49), (second, 100)):
        with pytest.raises(BadInput, match="load scenario"):
            sampler.demand(outside)


def test_pf_shares_costs_and_impedances_and_opf_does_not() -> None:
    shared = whole(made(settings={"mode": "pf"}), 2)
    for values in (shared.cost, shared.r_pu, shared.x_pu):
        assert (values == values[0]).all()
    own = whole(made(settings={"mode": "opf"}), 2)
    for values in (own.cost, own.r_pu, own.x_pu):
        assert all((values[0] != other).any() for other in values[1:])
    np.testing.assert_array_equal(shared.load_p_mw, own.load_p_mw)
    np.testing.assert_array_equal(own.variant, np.arange(6))
    (piece,) = made(settings={"mode": "pf"}).samples(2)
    assert piece.cost.strides[0] == piece.x_pu.strides[0] == piece.load_p_mw.strides[0] == 0


def test_without_perturbations_samples_are_the_case() -> None:
    none = {"type": "none"}
    sampler = made(
        topology_perturbation=none, generation_perturbation=none, admittance_perturbation=none
    )
    samples, grid = whole(sampler, 0), sampler.case.grid
    assert len(samples) == 1
    np.testing.assert_array_equal(samples.r_pu[0], grid.branches.r_pu)
    np.testing.assert_array_equal(samples.x_pu[0], grid.branches.x_pu)
    np.testing.assert_array_equal(samples.cost[0, :, 1], grid.generators.cost_c1)
    assert sampler.expected_samples() == 50


def test_permutation_moves_whole_rows_of_generators_with_a_variable_cost() -> None:
    """case14: generators 3 to 5 are condensers without cost and keep their rows."""
    sampler = made(
        generation_perturbation={"type": "cost_permutation"},
        topology_perturbation={"type": "n_minus_k"},
        settings={"mode": "opf"},
        network={"name": "case30_as"},
        name="case30_as",
    )
    cost, base = whole(sampler, 0).cost, sampler.base_cost
    rows = sorted(map(tuple, base.tolist()))
    assert all(sorted(map(tuple, variant.tolist())) == rows for variant in cost)
    assert (cost[:, :, 1] != base[:, 1]).any()
    sampler = made(generation_perturbation={"type": "cost_permutation"})
    fixed = ~sampler.base_cost[:, :2].any(axis=1)
    assert fixed.sum() == 3
    for number in range(20):
        np.testing.assert_array_equal(whole(sampler, number).cost[0][fixed], np.zeros((3, 3)))


def test_every_order_of_costs_is_equally_likely() -> None:
    """case5 has five generators with a cost: each stands at each place with probability 1/5.

    6,000 draws: the standard deviation of a share is sqrt(0.16 / 6,000) = 0.0052; four of them.
    """
    sampler = made(
        name="case5_pjm",
        generation_perturbation={"type": "cost_permutation"},
        load={"scenarios": 6000},
        topology_perturbation={"type": "none"},
    )
    linear = sampler.base_cost[:, 1]
    assert len(set(linear.tolist())) == 5
    drawn = np.array([next(sampler.samples(n)).cost[0, :, 1] for n in range(6000)])
    for value in linear:
        np.testing.assert_allclose((drawn == value).mean(axis=0), 0.2, atol=0.021)


@pytest.mark.parametrize(("sigma", "low", "high"), [(0.2, 0.8, 1.2), (1.5, 0.0, 2.5)])
def test_factors_are_uniform_between_their_bounds(sigma: float, low: float, high: float) -> None:
    """3,000 load scenarios: 20 branches by R and X, 5 generators by their coefficients.

    With w = high - low and n draws the mean's standard deviation is w / sqrt(12 n) and the
    variance's w^2 / sqrt(180 n); n is at least 15,000 (5 generators). Four of them.
    """
    block = {"sigma": sigma}
    sampler = made(
        name="case5_pjm",
        load={"scenarios": 3000},
        topology_perturbation={"type": "none"},
        generation_perturbation={"type": "cost_perturbation", **block},
        admittance_perturbation={"type": "random_perturbation", **block},
    )
    drawn = [next(sampler.samples(n)) for n in range(3000)]
    grid, width = sampler.case.grid, high - low
    r = np.array([s.r_pu[0] for s in drawn]) / grid.branches.r_pu
    x = np.array([s.x_pu[0] for s in drawn]) / grid.branches.x_pu
    c = np.array([s.cost[0, :, 1] for s in drawn]) / grid.generators.cost_c1
    for factors in (r, x, c):
        assert factors.min() >= low
        assert factors.max() <= high
        count = factors.size
        assert count >= 15_000
        mean_error, variance_error = width / np.sqrt(12 * count), width**2 / np.sqrt(180 * count)
        assert factors.mean() == pytest.approx((low + high) / 2, abs=4 * mean_error)
        assert factors.var() == pytest.approx(width**2 / 12, abs=4 * variance_error)
    correlation = np.corrcoef(r.ravel(), x.ravel())[0, 1]
    assert correlation == pytest.approx(0.0, abs=4 / np.sqrt(r.size))


def test_expected_samples() -> None:
    assert made().expected_samples() == 300
    counted = made(topology_perturbation={"type": "n_minus_k"})
    assert counted.expected_samples() == 50 * len(whole(counted, 0))
    # 19 branches that are no bridge and 4 generators that are not at the reference.
    few = {"type": "random", "n_topology_variants": 500}
    assert made(topology_perturbation=few).expected_samples() == 50 * 23


def test_a_seed_means_the_same_in_every_version() -> None:
    """NumPy keeps the raw bits of Philox and of seed sequences; these were drawn with 2.4."""
    for purpose, first in (
        (Purpose.COST, 15889692774925278253),
        (Purpose.TOPOLOGY, 13723966131160304589),
    ):
        raw = stream(7, 3, purpose).bit_generator.random_raw()
        assert raw == first
    assert [int(purpose) for purpose in Purpose] == [0, 1, 2, 3, 4]
