"""What a criterion is checked for by itself, beside the promises of a problem that ranks units by it.

Of a stranger's criterion `emoprune.testing.conformance("criterion", ...)` asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.criteria.samples import permuted, sample_evidences
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.space import IntArray

__all__ = ["Trial", "check_criterion", "check_trials"]

TOLERANCE = 1e-9  # in 64 bits

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, eq=False)
class Trial(Generic[Seen]):
    """What a criterion is tried on, in several forms.

    Attributes:
        evidence: What it is given.
        again: Equal evidence that is another object, so that nothing remembered about the first can answer for it.
        backwards: The same with its calibration batches in another order.
        moved: The same with the units of each group in another order.
        orders: Which unit came to each place, shape (units,), by group.
        network: What must be left as it was.
        tensors: Images, labels or words that must be, too.
    """

    evidence: Seen
    again: Seen
    backwards: Seen
    moved: Seen
    orders: Sequence[IntArray]
    network: nn.Module
    tensors: Sequence[torch.Tensor]


def check_criterion(
    make: Callable[[], Criterion], *, blind: bool = False, ordered: bool = False, tolerance: float | None = None
) -> None:
    """Check a criterion that ranks the units of coupling groups.

    Args:
        make: Returns a new one.
        blind: Whether scores may stay where they are when units change places, as random ones do.
        ordered: Whether the order of the calibration batches may change scores by more than rounding.
        tolerance: By how much of the largest score rounding may change one; None for 1e-9.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    trials = [_trial(evidence) for evidence in sample_evidences()]
    check_trials(make, trials, blind=blind, ordered=ordered, tolerance=TOLERANCE if tolerance is None else tolerance)


def _trial(evidence: Evidence) -> Trial[Evidence]:
    rng = np.random.default_rng(3)
    orders = [rng.permutation(units) for units in evidence.structure.units]
    batches, labels = evidence.calibration.batches, evidence.calibration.labels
    parts = torch.split(labels, [len(batch) for batch in batches])
    return Trial(
        evidence,
        replace(evidence),
        replace(evidence, calibration=LoadedImages(batches[::-1], torch.cat(parts[::-1]))),
        replace(evidence, network=permuted(evidence.network, evidence.structure, orders)),
        orders,
        evidence.network,
        (*batches, labels),
    )


def check_trials(
    make: Callable[[], Callable[[Seen], Sequence[Scores]]],
    trials: Sequence[Trial[Seen]],
    *,
    blind: bool,
    ordered: bool,
    tolerance: float,
) -> None:
    """Check a criterion on trials, each of which is scored four times; the rest is as `check_criterion` has it."""
    leaf = getattr(make(), "leaf", None)
    family, _, name = leaf.partition("/") if isinstance(leaf, str) else ("", "", "")
    _require(bool(family and name), "a leaf such as 'filter ranking/weight norm'", leaf)
    for trial in trials:
        scores = _scores_that_leave_all_alone(make(), trial)
        _check_repeated(make(), trial, scores)
        if not ordered:
            promise = "equal scores when the batches come in another order"
            _require_close(scores, make()(trial.backwards), promise, tolerance)
        if not blind:
            expected = [own[order] for own, order in zip(scores, trial.orders, strict=True)]
            _require_close(expected, make()(trial.moved), "scores that change places with their units", tolerance)


def _scores_that_leave_all_alone(criterion: Callable[[Seen], Sequence[Scores]], trial: Trial[Seen]) -> Sequence[Scores]:
    """Return one finite score per unit in 64 bits; every candidate is cut from the network that was looked at."""
    before, tensors = _state_of(trial.network), [tensor.clone() for tensor in trial.tensors]
    scores = criterion(trial.evidence)
    changed = [what for what, was in _state_of(trial.network).items() if not _same(before.get(what), was)]
    _require(not changed, "the network left as it was", f"changed: {changed}")
    same = all(torch.equal(*pair) for pair in zip(tensors, trial.tensors, strict=True))
    _require(same, "what it is calibrated on left as it was", "it changed")
    shapes, expected = [np.shape(own) for own in scores], [order.shape for order in trial.orders]
    _require(shapes == expected, f"scores of shapes {expected}", shapes)
    kinds = {getattr(own, "dtype", type(own)) for own in scores}
    _require(kinds == {np.dtype(np.float64)}, "arrays of float64", kinds)
    broken = [group for group, own in enumerate(scores) if not np.isfinite(own).all()]
    _require(not broken, "finite scores", f"others in groups {broken}")
    return scores


def _check_repeated(
    criterion: Callable[[Seen], Sequence[Scores]], trial: Trial[Seen], scores: Sequence[Scores]
) -> None:
    before = _global_states()
    again = criterion(trial.again)
    _require(before == _global_states(), "global generators left alone", "one used: draw by evidence.seed")
    same = all(np.array_equal(*pair) for pair in zip(scores, again, strict=True))
    _require(same, "equal scores from equal evidence", "different ones")


def _require_close(expected: Sequence[Scores], found: Sequence[Scores], promise: str, tolerance: float) -> None:
    for group, (one, other) in enumerate(zip(expected, found, strict=True)):
        difference = float(np.abs(one - other).max()) / max(float(np.abs(one).max()), 1e-300)
        kept = difference <= tolerance
        _require(kept, promise, f"a difference of {difference:.3g} of the largest score in group {group}")


def _require(kept: bool, expected: str, found: object) -> None:
    if not kept:
        raise ContractError(f"criterion: expected {expected}; found {found}")


def _global_states() -> tuple[bytes, str]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  # looks whether a criterion used what it must not
    return torch.get_rng_state().numpy().tobytes(), repr(legacy)


def _state_of(network: nn.Module) -> dict[str, object]:
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


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one == other
