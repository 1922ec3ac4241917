"""Conformance checks that the author of a criterion for transformers runs under pytest.

Derive a test class and say how to make the criterion; pytest finds and runs all its checks:

    class TestMine(TransformerCriterionConformance):
        def criterion(self) -> TransformerCriterion:
            return Mine()

A broken promise raises a ContractError that says what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch

from emoprune.contracts import about_of
from emoprune.problems.networks.criteria.conformance import (
    equal_scores,
    global_states,
    require,
    same_state,
    state_of,
)
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.samples import sample_evidences

__all__ = ["TransformerCriterionConformance"]

SERVED = "heads-and-neurons"


class TransformerCriterionConformance:
    """Checks of any criterion for transformers; derive from it and override `criterion`.

    Attributes:
        blind: Whether the scores do not come from the model, such as random ones.
        drawn: Whether the criterion draws something, so that the order of its batches matters.
        tolerance: By how much of the largest score rounding may change one, in 64 bits.
    """

    blind: ClassVar[bool] = False
    drawn: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-5  # sums over tokens are of 32 bits where they are large

    def criterion(self) -> TransformerCriterion:
        """Return the criterion to check, a new one each time."""
        raise NotImplementedError("override criterion(self): return the criterion to check")

    def evidences(self) -> Sequence[TransformerEvidence]:
        """Return what to try it on; override for a criterion that is made for some models only."""
        return sample_evidences()

    def test_it_says_where_it_stands_and_what_it_serves(self) -> None:
        """As `family/leaf`, and by `about` the names of problems."""
        criterion = self.criterion()
        family, _, name = str(getattr(criterion, "leaf", "")).partition("/")
        require(bool(family and name), "criterion: expected a leaf such as 'filter ranking/weight norm'", family)
        own = about_of(criterion)
        serves = () if own is None else own.serves
        require(SERVED in serves, f"criterion: expected {SERVED} in what it `serves`, as @about says it", serves)

    def test_every_unit_of_every_group_has_a_finite_score(self) -> None:
        """In 64 bits."""
        for evidence in self.evidences():
            scores = self.criterion()(evidence)
            expected = [(units,) for units in evidence.structure.units]
            shapes = [np.shape(own) for own in scores]
            require(shapes == expected, f"criterion: expected scores of shapes {expected}", shapes)
            finite = all(own.dtype == np.float64 and np.isfinite(own).all() for own in scores)
            require(finite, "criterion: expected finite scores of float64", [own.dtype for own in scores])

    def test_the_same_evidence_gives_the_same_scores(self) -> None:
        """Without drawing from the global generators."""
        for evidence in self.evidences():
            first = self.criterion()(evidence)
            before = global_states()
            second = self.criterion()(replace(evidence))
            require(equal_scores(first, second), "criterion: expected equal scores from equal evidence", "others")
            require(before == global_states(), "criterion: expected global generators left alone", "one used")

    def test_the_model_is_left_as_it_was(self) -> None:
        """Every candidate is cut from it."""
        for evidence in self.evidences():
            before = state_of(evidence.model)
            self.criterion()(evidence)
            after = state_of(evidence.model)
            changed = [what for what, was in after.items() if not same_state(before.get(what), was)]
            require(not changed, "criterion: expected the model left as it was", f"changed: {changed}")

    def test_the_order_of_the_batches_does_not_matter(self) -> None:
        """Beyond rounding, unless something is drawn."""
        for evidence in () if self.drawn else self.evidences():
            other = replace(evidence, calibration=evidence.calibration[::-1])
            for first, second in zip(self.criterion()(evidence), self.criterion()(other), strict=True):
                self._require_close(first, second, "equal scores when the batches come in another order")

    def test_scores_go_with_their_units(self) -> None:
        """The same model with its neurons in another order has the same scores in that order."""
        for evidence in () if self.blind or self.drawn else self.evidences():
            orders = _reorder(evidence)
            try:
                found = self.criterion()(evidence)
            finally:
                _reorder(evidence, [np.argsort(order) for order in orders])
            expected = self.criterion()(evidence)
            for number, order in enumerate(orders):
                group = 2 * number + 1
                self._require_close(expected[group][order], found[group], "scores that change places with neurons")

    def _require_close(self, one: Any, other: Any, promise: str) -> None:
        difference = float(np.abs(one - other).max()) / max(float(np.abs(one).max()), 1e-300)
        require(difference <= self.tolerance, f"criterion: expected {promise}", f"a difference of {difference:.3g}")


def _reorder(evidence: TransformerEvidence, orders: Sequence[Any] | None = None) -> list[Any]:
    """Put the neurons of each layer's networks into another order in place; return it, of all neurons of a layer."""
    rng, done = np.random.default_rng(3), []
    blocks = evidence.model.get_submodule(evidence.structure.path)
    for number, (block, anatomy) in enumerate(zip(blocks, evidence.structure.blocks, strict=True)):
        start, whole = 0, []
        for own in anatomy.feed_forwards:
            if orders is None:
                order = rng.permutation(own.neurons)
            else:
                order = orders[number][start : start + own.neurons] - start
            rows = torch.from_numpy(order)
            with torch.no_grad():
                for path in own.inputs:
                    linear = block.get_submodule(path)
                    linear.weight.copy_(linear.weight[rows].clone())
                last = block.get_submodule(own.output)
                last.weight.copy_(last.weight[:, rows].clone())
            whole.append(order + start)
            start += own.neurons
        done.append(np.concatenate(whole))
    return done
