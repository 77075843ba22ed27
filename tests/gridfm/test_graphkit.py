"""gridfm-graphkit's loader reads a dataset: shapes and values are those of the tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from gridfm_graphkit.datasets.graph_builder import (
    BUS_FEATURES,
    FORWARD_BRANCH_FEATURES,
    GEN_FEATURES,
    REVERSE_BRANCH_FEATURES,
)
from gridfm_graphkit.datasets.normalizers import HeteroDataMVANormalizer
from gridfm_graphkit.datasets.powergrid_hetero_dataset import HeteroGridDatasetDisk
from made_datasets import Make

BRANCHES = ("bus", "connects", "bus")


class Unchanged:
    """A normalizer that leaves values as they are."""

    def transform(self, data: object) -> object:
        """The same."""
        return data


@pytest.fixture(scope="module", params=["pf", "opf"])
def raw(
    request: pytest.FixtureRequest, make: Make, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The raw folder of a dataset of case 14 with two partitions, where the loader may write."""
    root = tmp_path_factory.mktemp("graphs")
    shutil.copytree(make("case14_ieee", request.param), root / "raw")
    return root / "raw"


@pytest.fixture(scope="module")
def tables(raw: Path) -> dict[str, pd.DataFrame]:
    """Bus, generator and branch tables of the dataset."""
    return {
        name: pd.read_parquet(raw / f"{name}_data.parquet") for name in ("bus", "gen", "branch")
    }


def test_every_sample_is_a_graph_with_its_values(
    raw: Path, tables: dict[str, pd.DataFrame]
) -> None:
    graphs = HeteroGridDatasetDisk(str(raw.parent), Unchanged(), stream_partitions="on")
    count = int((raw / "n_scenarios.txt").read_text())
    assert len(graphs) == count > 200
    for number in (0, 1, 199, 200, count - 1):
        graph = graphs[number]
        bus, gen, branch = (
            table[table["scenario"] == number].reset_index(drop=True) for table in tables.values()
        )
        assert graph["bus"].x.shape == (14, 15)
        assert graph["gen"].x.shape == (5, 7)
        assert graph[BRANCHES].edge_index.shape == (2, 40)
        assert graph[BRANCHES].edge_attr.shape == (40, 11)
        limits = gen.groupby("bus")[["min_q_mvar", "max_q_mvar"]].sum()
        bus = bus.join(limits, on="bus").fillna(0)
        _equal(graph["bus"].x, bus[BUS_FEATURES])
        _equal(graph["gen"].x, gen[GEN_FEATURES])
        _equal(graph[BRANCHES].edge_attr[:20], branch[FORWARD_BRANCH_FEATURES])
        _equal(graph[BRANCHES].edge_attr[20:], branch[REVERSE_BRANCH_FEATURES])
        ends = branch[["from_bus", "to_bus"]].to_numpy().T
        assert np.array_equal(graph[BRANCHES].edge_index[:, :20].numpy(), ends)
        assert int(graph["scenario_id"]) == number


def _equal(found: torch.Tensor, expected: pd.DataFrame) -> None:
    """Graphs hold single precision."""
    np.testing.assert_array_equal(found.numpy(), expected.to_numpy(np.float32))


def test_its_own_normalizer_fits(raw: Path, tables: dict[str, pd.DataFrame]) -> None:
    normalizer = HeteroDataMVANormalizer(SimpleNamespace(data=SimpleNamespace(baseMVA=100)))
    normalizer.fit(str(raw), list(range(40)))
    graphs = HeteroGridDatasetDisk(str(raw.parent), normalizer)
    bus = tables["bus"][tables["bus"]["scenario"] == 3]
    demand = graphs[3]["bus"].x[:, 0].numpy() * normalizer.baseMVA
    np.testing.assert_allclose(demand, bus["Pd"], rtol=1e-6)
    np.testing.assert_allclose(graphs[3]["bus"].x[:, 4].numpy(), np.deg2rad(bus["Va"]), rtol=1e-6)


def test_load_scenarios_are_kept(raw: Path, tables: dict[str, pd.DataFrame]) -> None:
    graphs = HeteroGridDatasetDisk(str(raw.parent), Unchanged())
    expected = tables["bus"].groupby("scenario")["load_scenario_idx"].first()
    assert graphs.load_scenarios.tolist() == expected.tolist()
