"""Making up for what is gone without training: the least-squares fits, one by one, nested, and in turn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.criteria.samples import sample_evidences
from emoprune.problems.networks.transformers.repair.contract import RepairInputs
from emoprune.problems.networks.transformers.repair.direct import Repairer, refitted
from emoprune.problems.networks.transformers.repair.k_prune import k_pruned
from emoprune.problems.networks.transformers.repair.least_squares import LeastSquares
from emoprune.problems.networks.transformers.repair.nested import NestedRepairer
from emoprune.problems.networks.transformers.repair.sequential import repaired_in_turn
from emoprune.problems.networks.transformers.tasks.opening import Opened

WIDE, OUT = 12, 5


def inputs(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(WIDE, WIDE, generator=generator, dtype=torch.float64)
    return (
        torch.randn(60, WIDE, generator=generator, dtype=torch.float64) @ mixed,
        torch.randn(OUT, WIDE, generator=generator, dtype=torch.float64),
    )


def error(rows: torch.Tensor, weight: torch.Tensor, kept: torch.Tensor, fitted: torch.Tensor) -> float:
    return float((rows @ weight.T - rows[:, kept] @ fitted.T).square().sum())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.sets(st.integers(0, WIDE - 1), min_size=1))
def test_a_fit_is_never_worse_on_its_own_data_than_slicing(seed: int, chosen: set[int]) -> None:
    rows, weight = inputs(seed)
    kept = torch.tensor(sorted(chosen))
    fitted = refitted(rows.T @ rows, weight, kept)
    assert error(rows, weight, kept, fitted) <= error(rows, weight, kept, weight[:, kept]) * (1 + 1e-9)


def test_a_channel_that_another_one_repeats_is_missed_by_nobody() -> None:
    rows, weight = inputs(0)
    rows[:, 3] = 2 * rows[:, 8]
    kept = torch.tensor([channel for channel in range(WIDE) if channel != 3])
    fitted = refitted(rows.T @ rows, weight, kept, ridge=1e-9)
    assert error(rows, weight, kept, fitted) < 1e-6 * error(rows, weight, kept, weight[:, kept])
    torch.testing.assert_close(fitted[:, 7], weight[:, 8] + 2 * weight[:, 3], rtol=1e-4, atol=1e-4)


def test_nothing_to_repair_and_nothing_to_solve_with_leave_the_weights_as_they_are() -> None:
    _, weight = inputs(0)
    everything, kept = torch.arange(WIDE), torch.tensor([1, 4])
    assert torch.equal(refitted(torch.eye(WIDE).double(), weight, everything), weight)
    assert torch.equal(refitted(torch.full((WIDE, WIDE), torch.nan).double(), weight, kept), weight[:, kept])


def evidence_of(*, experts: bool) -> TransformerEvidence:
    return sample_evidences()[experts]


@pytest.mark.parametrize("ridge", [0.1, 2.0])
@pytest.mark.parametrize("experts", [False, True])
def test_the_nested_fit_of_units_that_go_in_one_order_is_the_direct_one_at_every_count(
    experts: bool, ridge: float
) -> None:
    evidence = evidence_of(experts=experts)
    anatomy, rng = evidence.structure, np.random.default_rng(0)
    orders = [rng.permutation(units) for units in anatomy.units]
    direct, nested = (LeastSquares(ridge)(RepairInputs(evidence, given)) for given in (None, orders))
    assert isinstance(direct, Repairer)
    assert isinstance(nested, NestedRepairer)
    for heads, neurons in ((1, 3), (3, 9), (4, 1)):
        plan = BlockPlan(0, True, np.sort(orders[0][:heads]), np.sort(orders[1][:neurons]))
        one, other = (
            Narrower(evidence.model, anatomy, repairer).block(0, plan).state_dict() for repairer in (direct, nested)
        )
        for name, tensor in one.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-6, atol=1e-8)


def test_a_stronger_ridge_keeps_weights_nearer_to_what_they_were() -> None:
    evidence, plan = evidence_of(experts=False), BlockPlan(0, True, np.array([0, 2]), np.array([1, 4, 5]))
    name = f"{evidence.structure.blocks[0].attention.output}.weight"
    sliced, strong, weak = (
        Narrower(evidence.model, evidence.structure, adjust).block(0, plan).get_parameter(name)
        for adjust in (None, *(LeastSquares(ridge)(RepairInputs(evidence, None)) for ridge in (10.0, 0.01)))
    )
    assert 0 < float((strong - sliced).norm()) < float((weak - sliced).norm())


def opened(evidence: TransformerEvidence) -> Opened:
    from emoprune.problems.language.loading import LoadedModel, Source

    loaded = LoadedModel(evidence.model, None, Source("sample", "drawn", "llama", "Llama", 20))
    return Opened(evidence.task, evidence.structure, loaded, tuple(evidence.calibration), unfitted=False)


def drift(own: Opened, model: object, evidence: TransformerEvidence) -> float:
    """Return how far a model's outputs are from the unpruned one's on the calibration batches."""
    total = 0.0
    with torch.no_grad():
        for batch in evidence.calibration:
            total += float((own.task.outputs(model, batch) - own.task.outputs(evidence.model, batch)).square().mean())
    return total


def half(evidence: TransformerEvidence) -> list[BlockPlan]:
    rng = np.random.default_rng(1)
    return [
        BlockPlan(
            "half",
            True,
            np.sort(rng.permutation(block.attention.heads)[: block.attention.heads // 2]),
            np.sort(rng.permutation(block.neurons)[: block.neurons // 2]),
        )
        for block in evidence.structure.blocks
    ]


def test_a_repair_in_turn_brings_the_outputs_back_towards_the_unpruned_ones() -> None:
    evidence = evidence_of(experts=False)
    own, plans = opened(evidence), half(evidence)
    sliced = Narrower(evidence.model, evidence.structure).narrowed(plans)
    before = {name: tensor.clone() for name, tensor in evidence.model.state_dict().items()}
    repaired = repaired_in_turn(own, trainable(sliced).requires_grad_(False), plans, "cpu")
    assert drift(own, repaired, evidence) < 0.7 * drift(own, sliced, evidence)
    assert all(torch.equal(before[name], tensor) for name, tensor in evidence.model.state_dict().items())


def test_k_prune_s_plans_for_two_budgets_are_not_taken_for_each_other() -> None:
    evidence = evidence_of(experts=False)
    (_, large), (_, small) = (k_pruned(opened(evidence), evidence.costs, share, seed=1) for share in (0.8, 0.4))
    for one, other in zip(large, small, strict=True):
        alike = np.array_equal(one.heads, other.heads) and np.array_equal(one.neurons, other.neurons)
        assert (one.key == other.key) == alike
    assert any(one.key != other.key for one, other in zip(large, small, strict=True))


def test_k_prune_stays_within_its_budget_and_beats_slicing_by_chance() -> None:
    evidence = evidence_of(experts=False)
    own = opened(evidence)
    model, plans = k_pruned(own, evidence.costs, 0.6, seed=1)
    kept = sum(len(plan.heads) + len(plan.neurons) for plan in plans)
    assert 0 < kept <= 0.6 * sum(evidence.structure.units)
    sliced = Narrower(evidence.model, evidence.structure).narrowed(half(evidence))
    assert drift(own, model, evidence) < drift(own, sliced, evidence)
