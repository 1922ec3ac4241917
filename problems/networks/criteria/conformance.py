"""Conformance checks that the author of a criterion runs under pytest.

Derive a test class and say how to make the criterion; pytest finds and runs all its checks:

    class TestMine(CriterionConformance):
        def criterion(self) -> Criterion:
            return Mine()

A broken promise raises a ContractError that says what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.conformance_samples import permuted, sample_evidences
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["CriterionConformance", "equal_scores", "global_states", "require", "same_state", "state_of"]


class CriterionConformance:
    """Checks of any criterion; derive from it and override `criterion`.

    Attributes:
        blind: Whether the scores do not come from the network, such as random ones, so that they stay where they are
            when its units change places.
        ordered: Whether the order of the calibration batches may change the scores by more than rounding.
        tolerance: By how much of the largest score rounding may change one, in 64 bits.
    """

    blind: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-9

    def criterion(self) -> Criterion:
        """Return the criterion to check, a new one each time."""
        raise NotImplementedError("override criterion(self): return the criterion to check")

    def evidences(self) -> Sequence[Evidence]:
        """Return what to try it on, in 64 bits; override for a criterion that is made for some networks only."""
        return sample_evidences()

    def test_it_stands_in_a_taxonomy(self) -> None:
        """As `family/leaf`."""
        leaf = getattr(self.criterion(), "leaf", None)
        family, _, name = leaf.partition("/") if isinstance(leaf, str) else ("", "", "")
        require(bool(family and name), "criterion: expected a leaf such as 'filter ranking/weight norm'", leaf)

    def test_every_unit_of_every_group_has_a_finite_score(self) -> None:
        """In 64 bits, so that sums and comparisons further on are exact."""
        for evidence in self.evidences():
            scores = self.criterion()(evidence)
            shapes = [np.shape(own) for own in scores]
            expected = [(units,) for units in evidence.structure.units]
            require(shapes == expected, f"criterion: expected scores of shapes {expected}", shapes)
            kinds = {getattr(own, "dtype", type(own)) for own in scores}
            require(kinds == {np.dtype(np.float64)}, "criterion: expected arrays of float64", kinds)
            broken = [group for group, own in enumerate(scores) if not np.isfinite(own).all()]
            require(not broken, "criterion: expected finite scores", f"others in groups {broken}")

    def test_the_same_evidence_gives_the_same_scores(self) -> None:
        """Whatever else was drawn from the global generators before, and without drawing from them."""
        for evidence in self.evidences():
            first = self.criterion()(evidence)
            before = global_states()
            second = self.criterion()(_again(evidence))
            require(
                equal_scores(first, second), "criterion: expected equal scores from equal evidence", "different ones"
            )
            drawn = before != global_states()
            require(not drawn, "criterion: expected global generators left alone", "one used: draw by evidence.seed")

    def test_the_evidence_is_left_as_it_was(self) -> None:
        """Every candidate is cut from this network."""
        for evidence in self.evidences():
            before, images = state_of(evidence.network), [batch.clone() for batch in evidence.calibration.batches]
            labels = evidence.calibration.labels.clone()
            self.criterion()(evidence)
            changed = [
                what for what, was in state_of(evidence.network).items() if not same_state(before.get(what), was)
            ]
            require(not changed, "criterion: expected the network left as it was", f"changed: {changed}")
            same = all(torch.equal(*pair) for pair in zip(images, evidence.calibration.batches, strict=True))
            same = same and torch.equal(labels, evidence.calibration.labels)
            require(same, "criterion: expected images and labels left as they were", "them changed")

    def test_the_order_of_the_batches_does_not_matter(self) -> None:
        """Beyond rounding, unless the criterion says so."""
        for evidence in () if self.ordered else self.evidences():
            forwards, backwards = self.criterion()(evidence), self.criterion()(_reversed(evidence))
            self._require_close(forwards, backwards, "equal scores when the batches come in another order")

    def test_scores_go_with_their_units(self) -> None:
        """The same network with its units in another order has the same scores in that order."""
        for evidence in () if self.blind else self.evidences():
            rng = np.random.default_rng(3)
            orders = [rng.permutation(units) for units in evidence.structure.units]
            other = replace(evidence, network=permuted(evidence.network, evidence.structure, orders))
            expected = [own[order] for own, order in zip(self.criterion()(evidence), orders, strict=True)]
            self._require_close(expected, self.criterion()(other), "scores that change places with their units")

    def _require_close(self, expected: Sequence[Scores], found: Sequence[Scores], promise: str) -> None:
        for group, (one, other) in enumerate(zip(expected, found, strict=True)):
            largest = max(float(np.abs(one).max()), 1e-300)
            difference = float(np.abs(one - other).max()) / largest
            require(
                difference <= self.tolerance,
                f"criterion: expected {promise}",
                f"a difference of {difference:.3g} of the largest score in group {group}",
            )


def require(kept: bool, expected: str, found: object) -> None:
    """Raise a ContractError that says what was expected and found, unless the promise is kept."""
    if not kept:
        raise ContractError(f"{expected}; found {found}")


def equal_scores(one: Sequence[Scores], other: Sequence[Scores]) -> bool:
    """Whether all scores are the same to the bit."""
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def _again(evidence: Evidence) -> Evidence:
    """Return equal evidence that is another object, so that nothing remembered about the first can answer for it."""
    return replace(evidence)


def _reversed(evidence: Evidence) -> Evidence:
    batches, labels = evidence.calibration.batches, evidence.calibration.labels
    parts = torch.split(labels, [len(batch) for batch in batches])
    return replace(evidence, calibration=LoadedImages(batches[::-1], torch.cat(parts[::-1])))


def global_states() -> tuple[bytes, str]:
    """Return the states of the global generators."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  # looks whether a criterion used what it must not
    return torch.get_rng_state().numpy().tobytes(), repr(legacy)


def state_of(network: nn.Module) -> dict[str, object]:
    """Return what must stay: tensors, whether they want gradients and have some, modes, hooks, and the modules."""
    found: dict[str, object] = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        found[f"{name} wants gradients"] = parameter.requires_grad
        found[f"{name} has a gradient"] = parameter.grad is not None
        found[f"{name} itself"] = id(parameter)
    for path, module in network.named_modules():
        found[f"{path} itself"] = id(module)
        found[f"{path} trains"] = module.training
        found |= {f"{path} {kind}": tuple(hooks) for kind, hooks in _hooks(module)}
    return found


def _hooks(module: nn.Module) -> Iterator[tuple[str, dict[int, Callable[..., Any]]]]:
    return ((name, own) for name, own in vars(module).items() if name.endswith("_hooks"))


def same_state(one: object, other: object) -> bool:
    """Whether one thing of a network's state is as another was."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one == other
