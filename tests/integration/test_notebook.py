"""The notebook of scenario datasets: executed as it is committed, in a kernel of its own."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pyarrow.dataset as ds
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "scenarios.ipynb"
STEPS = ("check", "estimate", "generate", "validate", "statistics")
# Printed after each step, since the form tells people and not the notebook's outputs.
TELL = "import json; print(json.dumps([form.passed, form.message.value]))"


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_the_notebook_makes_a_dataset(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if any(f"form.{step}()" in cell.source for step in STEPS):
            cell.source += f"\n{TELL}"
    NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": tmp_path}},
    ).execute()
    told = [
        json.loads(output.text)
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stdout"
    ]
    assert len(told) == len(STEPS)
    assert all(passed for passed, _ in told), told

    raw = tmp_path / "data_out" / "case14_ieee" / "raw"
    buses = ds.dataset(raw / "bus_data.parquet", partitioning="hive").to_table().to_pandas()
    assert len(buses) == 8 * 5 * 14
    assert set(buses["load_scenario_idx"]) == set(range(8))
    table = notebook.cells[-1].outputs[-1].data["text/plain"]
    assert f"{buses.loc[buses['bus'] == 0, 'Vm'].max():.4f}".rstrip("0") in table
