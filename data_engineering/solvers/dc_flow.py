"""DC power flow for many injections at once, and after the loss of every branch.

The network is factored once; each set of injections is one more right-hand side. Conventions as in
`dc_network`: 1 / (x tap), phase shifters kept, no losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid
from data_engineering.solvers.dc_network import ISLANDING, DcNetwork, dc_network


@dataclass(frozen=True, eq=False)
class DcFlows:
    """S DC power flows.

    Attributes:
        angle_rad: shape (S, buses).
        flow_mw: from the from to the to bus, shape (S, branches).
        slack_mw: what the references add to the given injections, shape (S,).
    """

    angle_rad: Floats
    flow_mw: Floats
    slack_mw: Floats


def dc_flows(grid: Grid, injection_mw: Floats, network: DcNetwork | None = None) -> DcFlows:
    """DC power flows of given net injections.

    Args:
        grid: the case; shunt conductances take their power at nominal voltage.
        injection_mw: generation less demand, shape (S, buses); what lacks of balance is taken up
            by the reference of each island.
        network: of the grid, where it is at hand.
    """
    known = dc_network(grid) if network is None else network
    net = injection_mw - grid.buses.gs_mw
    angle = known.angles(net)
    return DcFlows(angle, known.flows(angle), -net.sum(axis=1))


def outage_flows(grid: Grid, flow_mw: Floats) -> tuple[Floats, Flags]:
    """Flows after the loss of each branch alone, by line outage distribution factors.

    Args:
        grid: the case.
        flow_mw: of the intact network, shape (branches,).

    Returns:
        Flows of shape (branches lost, branches), MW, and which losses split the network, shape
        (branches,); their rows are NaN. A branch that is out of service changes nothing.
    """
    network, rows = dc_network(grid), np.arange(len(grid.branches))
    transfer = network.branch_transfers(rows)
    stays = 1.0 - np.diagonal(transfer)
    split: Flags = np.abs(stays) < ISLANDING
    moved = transfer / np.where(split, np.nan, stays)
    np.fill_diagonal(moved, np.where(grid.branches.in_service, -1.0, 0.0))
    after: Floats = flow_mw + (moved * flow_mw).T
    after[split] = np.nan
    return after, split
