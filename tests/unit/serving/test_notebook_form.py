"""The form: every key, one line for a misuse, files, and that work gets what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from data_engineering.model.errors import BadInput
from data_engineering.scenarios.config import Config, config_from, read_config
from data_engineering.serving.notebook import Say, ScenarioForm, Work


class Recorder:
    """Takes configurations in place of the work."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error: BaseException | None = None

    def estimate(self, config: Config, say: Say) -> Mapping[str, Any]:
        self.calls.append(("estimate", config))
        return {"samples": 1200, "seconds": 3.25}

    def generate(self, config: Config, replace: bool, say: Say) -> Mapping[str, Any]:
        say("1 of 2 samples")
        self.calls.append(("generate", config, replace))
        if self.error is not None:
            raise self.error
        return {"samples": 2}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def form(recorder: Recorder) -> ScenarioForm:
    made = ScenarioForm(Work(recorder.estimate, recorder.generate))
    made.fill({"network": {"name": "case14_ieee"}})
    return made


def click(form: ScenarioForm, text: str) -> None:
    buttons = form.view.children[2].children
    next(button for button in buttons if button.description == text).click()


def test_every_key_stands_in_the_form_with_its_default(form: ScenarioForm) -> None:
    keys = {
        f"{block}.{key}"
        for block, info in Config.model_fields.items()
        for key in info.annotation.model_fields  # type: ignore[union-attr]
    }
    assert set(form.fields) == keys
    assert form.config() == config_from({"network": {"name": "case14_ieee"}}, "here")
    shown = form.view.children[0].children
    assert sum(len(box.children) for box in shown) == len(keys)
    assert "case118_ieee" in form.fields["network.name"].widget.options


def test_what_is_filled_in_is_the_configuration(form: ScenarioForm) -> None:
    values = {
        "network": {"name": "mine", "source": "file", "file": "grids/mine.m"},
        "load": {"agg_profile": "ercot_load_act_hr_2024_west", "scenarios": 5, "sigma": 0.5},
        "topology_perturbation": {
            "type": "random", "k": 2, "elements": ["gen"],
            "outage_count_probabilities": [0.25, 0.5, 0.25],
        },
        "settings": {"mode": "opf", "seed": 2**60, "include_dc_res": False},
    }  # fmt: skip
    form.fill(values)
    assert form.config() == config_from(values, "here")
    form.fields["topology_perturbation.outage_count_probabilities"].widget.value = "{0: 0.5, 2: .5}"
    probabilities = form.config().topology_perturbation.outage_count_probabilities
    assert probabilities == (0.5, 0.0, 0.5)


def test_a_misuse_is_told_in_one_line(form: ScenarioForm) -> None:
    form.fields["load.sigma"].widget.value = -1.0
    click(form, "Check")
    assert form.passed is False
    assert "form: load.sigma: -1.0 is not usable; give a number of at least 0" in form.message.value
    form.fields["load.sigma"].widget.value = 0.1
    form.fields["topology_perturbation.type"].widget.value = "random"
    form.fields["topology_perturbation.outage_count_probabilities"].widget.value = "[0.5"
    click(form, "Check")
    assert "&#x27;[0.5&#x27; is not usable; give a list" in form.message.value
    form.fields["topology_perturbation.outage_count_probabilities"].widget.value = ""
    click(form, "Check")
    assert form.passed
    assert "data_out/case14_ieee/raw" in form.result.children[0].value


def test_a_form_without_a_name_asks_for_one(recorder: Recorder) -> None:
    form = ScenarioForm(Work(recorder.estimate, recorder.generate))
    click(form, "Generate")
    assert "network.name: None is not usable; the key is missing" in form.message.value
    assert recorder.calls == []


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"load": {"scenarois": 1}},
            "'load.scenarois' is not usable; give a key that the form has",
        ),
        ({"load": {"scenarios": "many"}}, "form: load.scenarios: 'many' is not usable"),
        ({"settings": {"mode": "secure"}}, "form: settings.mode: 'secure' is not usable"),
    ],
)
def test_values_that_the_form_has_not_are_refused(
    form: ScenarioForm, values: dict[str, Any], line: str
) -> None:
    with pytest.raises(BadInput) as caught:
        form.fill(values)
    assert line in str(caught.value)


def test_keys_without_effect_are_grey(form: ScenarioForm) -> None:
    def grey(key: str) -> bool:
        return bool(form.fields[key].widget.disabled)

    assert grey("network.file")
    assert not grey("load.sigma")
    form.fields["load.generator"].widget.value = "precomputed_profile"
    assert grey("load.sigma")
    assert not grey("load.scenario_file")
    form.fields["topology_perturbation.type"].widget.value = "n_minus_k"
    assert not grey("topology_perturbation.k")
    assert grey("topology_perturbation.elements")
    assert not grey("load.generator")


def test_work_gets_the_configuration_and_tells_how_it_ends(
    form: ScenarioForm, recorder: Recorder
) -> None:
    said: list[str] = []
    form.progress.observe(lambda change: said.append(change["new"]), names="value")
    click(form, "Dry run")
    assert "1,200" in form.result.children[0].value
    form.replace.value = True
    click(form, "Generate")
    assert recorder.calls == [("estimate", form.config()), ("generate", form.config(), True)]
    assert said == ["1 of 2 samples", ""]
    assert form.passed
    recorder.error = KeyboardInterrupt()
    click(form, "Generate")
    assert form.passed is False
    assert "interrupted; generate again to go on" in form.message.value


def test_files_are_saved_and_opened(form: ScenarioForm, tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.yaml"
    form.file.value = str(path)
    form.fill({"load": {"scenarios": 17}})
    click(form, "Save file")
    assert form.passed
    assert read_config(path) == form.config()
    click(form, "Save file")
    assert form.passed

    other = tmp_path / "b.yaml"
    other.write_text("network: {name: case30_ieee}\nload: {scenario_file: x.csv}\n")
    form.file.value = str(other)
    click(form, "Save file")
    assert "it exists; give another name or open it first" in form.message.value
    click(form, "Open file")
    assert form.config() == read_config(other)
    assert form.fields["load.scenarios"].widget.value == 10_000
    form.file.value = str(tmp_path / "none.yaml")
    click(form, "Open file")
    assert "is missing; give the path of a YAML file" in form.message.value


def test_a_dataset_that_is_not_there_is_told(form: ScenarioForm, tmp_path: Path) -> None:
    form.fill({"settings": {"data_dir": str(tmp_path)}})
    for step in ("Validate", "Statistics"):
        click(form, step)
        assert form.passed is False
        assert "generate it first" in form.message.value
