"""Bits per layer as a problem: its promises, its references, and what rounding costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks_for_tests import network

from emoprune import plugins
from emoprune.contracts import Failure, Problem, Recovering
from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.bit_widths import BitWidths
from emoprune.problems.networks.layers.references.catalogue import OF_BITS, first_references
from emoprune.problems.networks.layers.references.first_order import first_order_harm, least_harm_first
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.largest_first import largest_first
from emoprune.problems.networks.layers.treatments.bits import Rounding
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.records import Split
from emoprune.testing import ProblemConformance

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


class TestBits(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return BitWidths(**SMALL, bits=[2, 4, 8, 32], at_most={"bytes-share": 0.5})


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> BitWidths:
    problem = BitWidths(objectives=["error", "bytes", "parameters"])
    problem.prepare(tmp_path_factory.mktemp("digits"), 1)
    problem.setup("cpu", torch.get_num_threads())
    return problem


def rows(problem: BitWidths, name: str) -> list[float]:
    genome = next(each.genome for each in problem.references() if each.name == name)
    (row,) = problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.TEST)
    assert not isinstance(row, Failure)
    return list(row)


def test_eight_bits_change_the_error_by_at_most_a_point_and_two_bits_by_more(digits: BitWidths) -> None:
    unpruned, eight, two = (rows(digits, name) for name in ("unpruned", "uniform-8-bits", "uniform-2-bits"))
    assert abs(eight[0] - unpruned[0]) <= 0.01
    assert two[0] > unpruned[0] + 0.03
    assert two[1] < eight[1] < 0.27 * unpruned[1]
    assert two[2] == unpruned[2]


def test_references_are_distinct_legal_and_within_the_bytes_of_their_names(digits: BitWidths) -> None:
    references = digits.references()
    genomes = np.stack([reference.genome for reference in references])
    assert references[0].name == "unpruned"
    assert digits.space.legal(genomes).all()
    assert len(np.unique(genomes, axis=0)) == len(genomes)
    levels = digits._levels  # counts only the layers that can be rounded
    full = levels.stored[:, -1].sum()
    for reference in references:
        family, _, percentage = reference.name.rpartition("-")
        if family in {"largest-first", "first-order"}:
            wanted = levels.decode(reference.genome[np.newaxis])[0]
            assert levels.stored[np.arange(len(wanted)), wanted].sum() * 100 <= int(percentage) * full


def two_layers() -> LayerLevels:
    parts = [Part(name, "Conv2d", None, None) for name in ("small", "large")]
    return LayerLevels.of([(parts[0], (4, 4, 3, 3)), (parts[1], (8, 16, 3, 3))], Rounding.of([4, 8, 32]))


def test_the_largest_layer_goes_down_first() -> None:
    assert largest_first(two_layers()).tolist() == [[2, 2], [2, 1], [1, 1], [1, 0], [0, 0]]


def test_a_layer_on_which_the_loss_does_not_depend_is_rounded_before_all_others() -> None:
    levels, generator = two_layers(), torch.Generator().manual_seed(1)
    weights = {part.path: torch.randn(shape, generator=generator) for part, shape in levels.layers}
    gradients = {"small": torch.zeros((4, 4, 3, 3)), "large": torch.ones((8, 16, 3, 3))}
    harm = first_order_harm(levels, weights, gradients)
    assert harm[0].tolist() == [0, 0, 0]
    assert harm[1][0] > harm[1][1] > harm[1][2] == 0
    assert least_harm_first(levels, harm).tolist() == [[2, 2], [1, 2], [0, 2], [0, 1], [0, 0]]
    inputs = LayerReferenceInputs.of(levels, weights, lambda: gradients, np.random.default_rng(1))
    references, _ = first_references(plugins.methods("reference", OF_BITS, "bit-widths"), inputs)
    names = [reference.name for reference in references]
    assert names[:3] == ["unpruned", "uniform-8-bits", "uniform-4-bits"]


def test_the_harm_to_first_order_is_what_the_loss_changes_by_when_steps_are_small() -> None:
    levels = LayerLevels.of([(Part("0", "Linear", None, None), (1, 3))], Rounding.of([8, 32]))
    weight = torch.tensor([[1.0, 0.503, -0.247]])
    gradient = torch.tensor([[2.0, -1.0, 3.0]])
    change = Rounding.of([8, 32]).treated(levels.parts[0], weight, torch.empty(0), 0) - weight
    expected = float((gradient * change).abs().sum())
    assert levels.table[0].tolist() == [0, 1]
    (harm,) = first_order_harm(levels, {"0": weight}, {"0": gradient})
    assert harm[0] == pytest.approx(expected, rel=1e-6)
    assert expected > 0


def test_rounded_networks_offer_no_recovery() -> None:
    assert not isinstance(BitWidths(**SMALL), Recovering)


def test_the_layers_of_a_network_of_ones_own_become_genes() -> None:
    paths = [path for path, module in network().named_modules() if type(module).__name__ in {"Conv2d", "Linear"}]
    assert list(BitWidths(**SMALL).space.names) == paths


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"bits": [8, 4, 32]}, "bits: expected rising numbers from 2 to 8 and then 32"),
        ({"bits": [1, 32]}, "bits: expected rising numbers from 2 to 8 and then 32"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        BitWidths(**SMALL, **options)
