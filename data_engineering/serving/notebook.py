"""A form for scenario datasets in a notebook: every key, and the steps of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from data_engineering.model.errors import BadInput, LascopfError
from data_engineering.scenarios.config import Config, config_from, read_config
from data_engineering.serving.notebook_fields import (
    block_models,
    follow_choices,
    key_fields,
    panels,
)

Say = Callable[[str], None]

_BUTTONS = {
    "check": "Check",
    "open": "Open file",
    "save": "Save file",
    "estimate": "Dry run",
    "generate": "Generate",
    "validate": "Validate",
    "statistics": "Statistics",
}
_COLOURS = {True: "#1a7f37", False: "#b42318"}


@dataclass(frozen=True)
class Work:
    """What makes datasets; the notebook gives what the command line calls.

    Attributes:
        estimate: samples, time and size of a configuration; takes it and a taker of progress.
        generate: makes a dataset, goes on with it or adds to it; takes a configuration, whether
            to replace what stands in its folder, and a taker of progress.
    """

    estimate: Callable[[Config, Say], Mapping[str, Any]]
    generate: Callable[[Config, bool, Say], Mapping[str, Any]]


class ScenarioForm:
    """A form that shows itself as the last value of a cell; its methods are its buttons.

    What went wrong stands in `message` in one line, so that nothing is raised. A run that is
    interrupted (the notebook's stop button) goes on where it stood by generating again.

    Attributes:
        fields: of the keys, by dotted name.
        file: path of the YAML file to open or save.
        replace: whether generating may replace another dataset.
        message: how the last step ended.
        progress: how far a step is.
        result: facts of the last step.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._own_files: set[Path] = set()
        self.fields = key_fields()
        self.file = widgets.Text(value="scenarios.yaml", description="file")
        self.replace = widgets.Checkbox(value=False, description="replace what stands there")
        self.message, self.progress = widgets.HTML(), widgets.Label()
        self.result = widgets.VBox()
        self.passed: bool | None = None
        follow_choices(self.fields)
        self.view = widgets.VBox(
            [
                panels(self.fields),
                widgets.HBox([self.file, self.replace]),
                widgets.HBox([self._button(name, text) for name, text in _BUTTONS.items()]),
                self.message,
                self.progress,
                self.result,
            ]
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view._repr_mimebundle_(**kwargs)

    def values(self) -> dict[str, dict[str, Any]]:
        """What stands in the form, by block and key."""
        values: dict[str, dict[str, Any]] = {block: {} for block in block_models()}
        for name, field in self.fields.items():
            block, _, key = name.partition(".")
            values[block][key] = field.read()
        return values

    def config(self) -> Config:
        """The configuration that stands in the form.

        Raises:
            BadInput: a key or a value is wrong.
        """
        values = self.values()
        if not values["network"]["name"]:
            del values["network"]["name"]
        return config_from(values, "form")

    def fill(self, values: Mapping[str, Any]) -> None:
        """Show values by block and key; other keys stay.

        Raises:
            BadInput: there is no such key, or its field cannot show the value.
        """
        for block, keys in values.items():
            for key, value in keys.items():
                if f"{block}.{key}" not in self.fields:
                    raise BadInput("form", f"{block}.{key}", "give a key that the form has")
                self.fields[f"{block}.{key}"].write(value)

    def check(self) -> None:
        """Say whether the configuration is usable."""
        self._step("usable", lambda: self._show({"dataset": self.config().folder}))

    def open(self) -> None:
        """Show what a YAML file holds."""

        def step() -> None:
            path = Path(self.file.value)
            self.fill(read_config(path).model_dump(mode="json"))
            self._own_files.add(path.absolute())

        self._step("opened", step)

    def save(self) -> None:
        """Write the configuration as YAML; a file that was not opened or saved here stays."""

        def step() -> None:
            path, text = Path(self.file.value), self.config().as_yaml()
            if path.exists() and path.absolute() not in self._own_files:
                raise BadInput("file", str(path), "it exists; give another name or open it first")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self._own_files.add(path.absolute())
            self._show({"file": path.absolute()})

        self._step("saved", step)

    def estimate(self) -> None:
        """Say how many samples, how long and how large; nothing is written."""
        self._step("estimated", lambda: self._show(self._work.estimate(self.config(), self._say)))

    def generate(self) -> None:
        """Make the dataset, go on with it, or add to it."""

        def step() -> None:
            made = self._work.generate(self.config(), bool(self.replace.value), self._say)
            self._show(made)

        self._step("generated", step)

    def validate(self) -> None:
        """Check the dataset against the laws that it must keep."""
        from data_engineering.scenarios.checks import check_dataset

        def step() -> None:
            found = check_dataset(
                self._dataset(),
                processes=len(os.sched_getaffinity(0)),
                progress=lambda done, of: self._say(f"{done} of {of} partitions"),
            )
            facts = {"scenarios": found.scenarios, "checks": len(found.checks)}
            self._show({**facts, **{f"finding: {name}": n for name, n in found.counts.items()}})
            if not found.passed:
                raise BadInput("dataset", str(found.folder), f"it fails: {', '.join(found.failed)}")

        self._step("passed all checks", step)

    def statistics(self) -> None:
        """Compute the dataset's statistics and show them."""
        from data_engineering.scenarios.statistics import write_statistics

        def step() -> None:
            folder = self._dataset()
            write_statistics(folder, n_partitions=100, sn_mva=100.0)
            plot = (folder / "stats_plot.png").read_bytes()
            self.result.children = (widgets.Image(value=plot, format="png", width="100%"),)

        self._step("computed", step)

    def _dataset(self) -> Path:
        folder = self.config().folder.absolute()
        if not (folder / "bus_data.parquet").is_dir():
            raise BadInput("dataset", str(folder), "generate it first")
        return folder

    def _step(self, done: str, step: Callable[[], None]) -> None:
        """Do one step and say how it ended."""
        self.message.value, self.progress.value, self.result.children = "", "", ()
        try:
            step()
        except LascopfError as error:
            self._tell(False, str(error))
        except KeyboardInterrupt:
            self._tell(False, "interrupted; generate again to go on")
        else:
            self._tell(True, done)
        self.progress.value = ""

    def _tell(self, passed: bool, text: str) -> None:
        self.passed = passed
        self.message.value = f'<b style="color: {_COLOURS[passed]}">{escape(text)}</b>'

    def _say(self, text: str) -> None:
        self.progress.value = text

    def _show(self, facts: Mapping[str, Any]) -> None:
        rows = [
            f"<tr><th style='text-align: left'>{escape(str(name))}</th>"
            f"<td>{escape(_shown(value))}</td></tr>"
            for name, value in facts.items()
        ]
        self.result.children = (widgets.HTML(f"<table>{''.join(rows)}</table>"),)

    def _button(self, name: str, text: str) -> Any:
        button = widgets.Button(description=text)
        button.on_click(partial(_press, getattr(self, name)))
        return button


def _press(step: Callable[[], None], _: Any) -> None:
    step()


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
