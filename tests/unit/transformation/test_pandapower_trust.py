"""A net's file may name modules; pandapower imports them, so strange ones are refused."""

from __future__ import annotations

import json

import pytest

from data_engineering.model.errors import BadInput
from data_engineering.transformation.pandapower_nets import net_from_json

STRANGE = {"_module": "os", "_class": "system", "_object": "echo"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "bad": STRANGE}),
        json.dumps({"_module": "pandapower.auxiliary", "inner": json.dumps(STRANGE)}),
        json.dumps({"inner": json.dumps({"deeper": json.dumps(STRANGE)})}),
    ],
)
def test_a_strange_module_is_named_and_never_imported(text):
    with pytest.raises(BadInput, match="'os' is not usable"):
        net_from_json(text)
