"""A widget for every key of a scenario configuration, made from the configuration's own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Literal, get_args, get_origin

import ipywidgets as widgets
import yaml
from pydantic.fields import FieldInfo
from traitlets import TraitError

from data_engineering.ingestion.case_files import PGLIB, pglib_names
from data_engineering.model.errors import BadInput
from data_engineering.scenarios.config import CHOICE, USED, Config
from data_engineering.scenarios.profiles import profile_names

_PLAIN = {
    bool: widgets.Checkbox,
    int: widgets.IntText,
    float: widgets.FloatText,
    str: widgets.Text,
}


Form = Literal["value", "text", "yaml"]


@dataclass(frozen=True)
class KeyField:
    """One key and its widget.

    Attributes:
        form: the widget's value is the key's, a text where nothing is None, or YAML.
    """

    name: str
    widget: Any
    form: Form = "value"

    def read(self) -> Any:
        """The value as a configuration takes it."""
        value = self.widget.value
        if self.form == "value":
            return list(value) if isinstance(value, tuple) else value
        if not value.strip():
            return None
        if self.form == "text":
            return value
        try:
            return yaml.safe_load(value)
        except yaml.YAMLError:
            return value

    def write(self, value: Any) -> None:
        """Show a value of a configuration.

        Raises:
            BadInput: the field has no such value.
        """
        if self.form == "yaml" and value is not None:
            value = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        elif self.form == "value" and isinstance(value, list):
            value = tuple(value)
        try:
            self.widget.value = "" if value is None else value
        except TraitError:
            raise BadInput(f"form: {self.name}", value, "give a value that its field has") from None


def key_fields() -> dict[str, KeyField]:
    """A field for every key, by its dotted name, with its default."""
    return {
        f"{block}.{key}": _field(f"{block}.{key}", info)
        for block, model in block_models().items()
        for key, info in model.model_fields.items()
    }


def block_models() -> dict[str, Any]:
    """The models of the blocks, by name."""
    return {name: info.annotation for name, info in Config.model_fields.items()}


def panels(fields: Mapping[str, KeyField]) -> Any:
    """All fields with what they mean, a tab for each block."""
    models = block_models()
    boxes = []
    for block in models:
        rows = []
        for name, field in fields.items():
            if name.startswith(f"{block}."):
                info = models[block].model_fields[name.partition(".")[2]]
                meaning = widgets.HTML(f"<small>{escape(info.description or '')}</small>")
                rows.append(widgets.HBox([field.widget, meaning]))
        boxes.append(widgets.VBox(rows))
    return widgets.Tab(children=boxes, titles=[name.replace("_", " ") for name in models])


def follow_choices(fields: Mapping[str, KeyField]) -> None:
    """Grey out the keys that have no effect under what is chosen, now and whenever it changes."""
    for block, choice in CHOICE.items():
        chooser = fields[f"{block}.{choice}"].widget
        follow = partial(_grey_out, fields, block, chooser)
        chooser.observe(follow, names="value")
        follow(None)


def _grey_out(fields: Mapping[str, KeyField], block: str, chooser: Any, _: Any) -> None:
    used = USED[block][chooser.value]
    for key in {key for keys in USED[block].values() for key in keys}:
        fields[f"{block}.{key}"].widget.disabled = key not in used


def _field(name: str, info: FieldInfo) -> KeyField:
    kind, default = info.annotation, info.default
    look = {
        "description": name.partition(".")[2],
        "tooltip": info.description or "",
        "style": {"description_width": "190px"},
        "layout": widgets.Layout(width="460px"),
    }
    if name == "network.name":
        cases = tuple(case.removeprefix(PGLIB) for case in pglib_names())
        return KeyField(name, widgets.Combobox(options=cases, value="", **look))
    if name == "topology_perturbation.elements":
        offered = get_args(get_args(kind)[0])
        look["rows"] = len(offered)
        return KeyField(name, widgets.SelectMultiple(options=offered, value=default, **look))
    if name == "load.agg_profile":
        return KeyField(name, widgets.Dropdown(options=profile_names(), value=default, **look))
    if get_origin(kind) is Literal:
        return KeyField(name, widgets.Dropdown(options=get_args(kind), value=default, **look))
    for of_kind, widget in _PLAIN.items():
        if kind is of_kind:
            return KeyField(name, widget(value=default, **look))
    form: Form = "text" if str in get_args(kind) else "yaml"
    return KeyField(name, widgets.Text(value="", placeholder="none", **look), form)
