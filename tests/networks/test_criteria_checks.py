"""The checks of criteria, both ways: each broken promise is named, and the samples are sound."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from zoo_for_tests import images_for, structure_of_zoo, zoo

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.activations import activations_of
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.gradients import gate_gradients_of
from emoprune.problems.networks.calibration.remembering import digest_of
from emoprune.problems.networks.criteria.checks import check_criterion
from emoprune.problems.networks.criteria.next_layer import NextLayerReconstruction
from emoprune.problems.networks.criteria.norms import L1
from emoprune.problems.networks.criteria.samples import sample_evidences
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.testing import conformance


class Honest:
    """Ranks by L1, and is what each broken criterion below is but for one thing."""

    leaf: str | None = "filter ranking/weight norm"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        return L1()(evidence)


class Nowhere(Honest):
    leaf = None


class Familyless(Honest):
    leaf = "norms"


class TooFew(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        return super().__call__(evidence)[1:]


class Halved(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        return [own.astype(np.float32) for own in super().__call__(evidence)]


class Infinite(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        return [own / 0.0 if group == 1 else own for group, own in enumerate(super().__call__(evidence))]


class Unseeded(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        rng = np.random.default_rng()
        return [own + 1e-6 * rng.random(len(own)) for own in super().__call__(evidence)]


class Global(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        torch.rand(1)
        return super().__call__(evidence)


class Legacy(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        np.random.random(1)  # noqa: NPY002  # what the check must find
        return super().__call__(evidence)


class Hooking(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        evidence.network.get_submodule("head").register_forward_hook(lambda *_: None)
        return super().__call__(evidence)


class Training(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        evidence.network.get_submodule("hidden").train()
        return super().__call__(evidence)


class Wanting(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        evidence.network.requires_grad_()
        return super().__call__(evidence)


class Leaving(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        weight = evidence.network.get_parameter("head.weight")
        weight.grad = torch.zeros_like(weight)
        return super().__call__(evidence)


class Zeroing(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        evidence.network.get_parameter("head.weight").data[0] = 0
        return super().__call__(evidence)


class Replacing(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        head = evidence.network.get_submodule("head")
        assert isinstance(head.weight, nn.Parameter)
        head.weight = nn.Parameter(head.weight.clone(), requires_grad=False)
        return super().__call__(evidence)


class Normalising(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        evidence.calibration.batches[0].sub_(1)
        return super().__call__(evidence)


class FirstBatch(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        brightness = float(evidence.calibration.batches[0].mean())
        return [own + brightness * np.square(own) for own in super().__call__(evidence)]


class Placed(Honest):
    def __call__(self, evidence: Evidence) -> list[Scores]:
        return [own + np.arange(len(own)) for own in super().__call__(evidence)]


BROKEN: list[tuple[Callable[[], Honest], str]] = [
    (Nowhere, "expected a leaf.*found None"),
    (Familyless, "expected a leaf.*found norms"),
    (TooFew, "expected scores of shapes"),
    (Halved, "expected arrays of float64"),
    (Infinite, r"others in groups \[1\]"),
    (Unseeded, "expected equal scores from equal evidence"),
    (Global, "global generators"),
    (Legacy, "global generators"),
    (Hooking, "head _forward_hooks"),
    (Training, "hidden trains"),
    (Wanting, "wants gradients"),
    (Leaving, "has a gradient"),
    (Zeroing, r"changed: \['head.weight'\]"),
    (Replacing, "head.weight itself"),
    (Normalising, "what it is calibrated on left as it was"),
    (FirstBatch, "batches come in another order"),
    (Placed, "change places with their units"),
]


def test_an_honest_criterion_passes() -> None:
    check_criterion(Honest)


@pytest.mark.parametrize(("broken", "words"), BROKEN, ids=[case[0].__name__ for case in BROKEN])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_broken_promise_is_named(broken: Callable[[], Honest], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        check_criterion(broken)


def test_a_criterion_may_say_that_it_is_blind_that_the_order_matters_and_how_much_it_rounds() -> None:
    check_criterion(Placed, blind=True)
    check_criterion(FirstBatch, ordered=True)
    check_criterion(FirstBatch, tolerance=10.0)


@pytest.mark.parametrize("problem", ["channels", "subnetworks"])
def test_the_conformance_of_a_criterion_asks_for_it(problem: str) -> None:
    check = "test_it_scores_every_unit_by_its_evidence_and_leaves_it_alone"
    with pytest.raises(ContractError, match="change places with their units"):
        getattr(conformance("criterion", Placed, problem)(), check)()
    getattr(conformance("criterion", Placed, problem, blind=True)(), check)()


def test_the_samples_can_be_sliced_and_hold_what_they_promise() -> None:
    structure = sample_evidences()[0].structure
    assert not structure.broken
    assert len(structure.groups) == 6
    assert any(part.depthwise for part in structure.weighted)
    assert any(part.conv_groups > 1 and not part.depthwise for part in structure.weighted)
    weighted = {part.path for part in structure.weighted}
    assert max(len(weighted & set(group.producers)) for group in structure.groups) == 3
    assert len({id(evidence.network) for evidence in (*sample_evidences(), *sample_evidences())}) == 4


@pytest.mark.parametrize("measure", [activations_of, gate_gradients_of, NextLayerReconstruction()])
def test_nothing_of_a_batch_outlives_it(measure: Callable[[Evidence], object]) -> None:
    network, living, seen = zoo("resnet"), list[int](), list[weakref.ref[torch.Tensor]]()

    def before(*_: object) -> None:
        living.append(sum(reference() is not None for reference in seen))

    network.register_forward_pre_hook(before)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _module, _taken, values: seen.append(weakref.ref(values)))
    images = images_for(12, 0)
    batches = LoadedImages(tuple(torch.split(torch.cat(images.batches), 4)), images.labels)
    measure(Evidence(network, structure_of_zoo("resnet"), batches, 0))
    assert living == [0, 0, 0]
    assert len(seen) >= 9


def test_the_digest_of_a_network_follows_every_tensor_and_its_place() -> None:
    network = zoo("resnet")
    first = digest_of(network)
    assert digest_of(zoo("resnet")) == first
    network.get_buffer("stem.1.running_mean")[0] += 1
    second = digest_of(network)
    network.get_buffer("stem.1.num_batches_tracked").add_(1)
    third = digest_of(network)
    assert len({first, second, third, digest_of(network.bfloat16())}) == 4
