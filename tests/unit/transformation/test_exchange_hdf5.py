"""Bundles as HDF5: the values of the request, units, and equal bytes."""

from __future__ import annotations

import io

import h5py
import numpy as np
from test_exchange_bundle import bundle, three_bus_day

from data_engineering.transformation.exchange_hdf5 import TABLES, bundle_hdf5


def opened() -> h5py.File:
    return h5py.File(io.BytesIO(bundle_hdf5(bundle(three_bus_day()))))


def words(dataset) -> list[str]:
    return dataset.asstr()[()].tolist()


def test_columns_hold_the_grids_values_and_their_units():
    request = three_bus_day()
    grid, file = request.grid, opened()
    assert words(file["gen/GEN UID"]) == grid.generators.id.tolist()
    assert words(file["bus/Bus Type"]) == ["Ref", "PV", "PQ"]
    assert file["gen/Bus ID"][()].tolist() == [1, 2, 30, 2]
    assert file["gen/In Service"].dtype == np.int8
    assert np.array_equal(file["gen/PMax MW"], grid.generators.p_max_mw)
    assert np.array_equal(
        file["gen/Cost USD per h 1"], grid.generators.cost_usd_per_h[:, 1], equal_nan=True
    )
    assert file["gen/Cost USD per h 1"].attrs["unit"] == "USD/h"
    assert file["gen/Cost USD per h 1"].attrs["column"] == "Cost USD/h 1"
    assert file["gen/Cost C2"].attrs["unit"] == "USD/h per MW^2"
    # No limit is infinite, not missing.
    assert np.array_equal(file["branch/STE Rating"], grid.branches.rate_c_mva)
    assert np.isinf(file["branch/STE Rating"][2])
    assert np.array_equal(file["gen/Before MW"], request.periods.before_mw, equal_nan=True)


def test_series_are_matrices_with_their_elements():
    request, file = three_bus_day(), opened()
    assert np.array_equal(file["series/available/values"], request.periods.available_mw)
    assert words(file["series/available/ids"]) == request.grid.generators.id.tolist()
    assert file["series/available/values"].attrs["unit"] == "MW"
    assert file["series/load/interval"][()].tolist() == [1, 2, 3]
    assert np.array_equal(file["commitment/on/values"][()] > 0, request.commitment.on)


def test_options_and_identity_are_attributes_and_the_case_is_text():
    files, file = bundle(three_bus_day()), opened()
    assert file.attrs["format"] == "lascopf-exchange"
    assert len(file.attrs["request_id"]) == 32
    assert file["options"].attrs["method"] == "joint"
    assert file["options/penalties"].attrs["load_shed"] == 1.0
    assert file["matpower/case.m"].asstr()[()] == files["matpower/case.m"]


def test_every_column_is_there_and_equal_bundles_give_equal_bytes():
    files, file = bundle(three_bus_day()), opened()
    for name in TABLES:
        header = files[f"{name}.csv"].splitlines()[0].split(",")
        found = {each.attrs.get("column", key) for key, each in file[name].items()}
        assert found == set(header), name
    assert bundle_hdf5(files) == bundle_hdf5(bundle(three_bus_day()))
