"""Units ranked by how much of what flows from the inputs to the outputs goes through them."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import nn

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.per_unit import outgoing_first, summed_over_units

__all__ = ["SynFlow"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass forwards and backwards of one image of ones",
    papers=[Paper("Pruning neural networks without any data by iteratively conserving synaptic flow", "2006.05467")],
    gradients=True,
)
class SynFlow:
    """Weight times gradient of the summed outputs for an image of ones, with all weights positive, summed over a unit.

    So a unit counts by all layers before and behind it. Biases and the running means of batch norms are left out, which
    makes the outputs homogeneous in each layer's weights. Source: Tanaka et al., Pruning neural networks without any
    data by iteratively conserving synaptic flow, arXiv 2006.05467; there weights are taken away in a hundred rounds,
    here units are ranked once.
    """

    leaf: ClassVar[str] = "filter ranking/activation of all layers"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the flow through each unit's weights; divided by the largest, because products of layers grow fast."""
        network = copy.deepcopy(evidence.network).double().eval().requires_grad_(requires_grad=True)
        _positive(network)
        shape = evidence.calibration.batches[0].shape[1:]
        with torch.enable_grad():
            ones = torch.ones((1, *shape), dtype=torch.float64, device=evidence.calibration.batches[0].device)
            torch.autograd.backward(network(ones).sum())
        elements = {}
        for part in evidence.structure.weighted:
            weight = network.get_parameter(f"{part.path}.weight")
            flow = torch.zeros_like(weight) if weight.grad is None else weight.detach() * weight.grad
            elements[part.path] = outgoing_first(part.kind, flow.cpu().numpy())
        found = summed_over_units(evidence.structure, elements)
        largest = max((float(own.max()) for own in found if len(own)), default=0.0)
        return [own / largest if largest > 0 else own for own in found]


def _positive(network: nn.Module) -> None:
    """Take every weight's size, and leave biases and running means out; in place."""
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            last = name.rpartition(".")[2]
            if last in {"bias", "running_mean"}:
                tensor.zero_()
            elif last == "weight":
                tensor.abs_()
