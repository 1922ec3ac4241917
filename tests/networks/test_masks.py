"""Masks that learn with the weights: what each one is in the limit, and that exactly so much stays of a network."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods_for_tests import copied, prepared, require_broken
from safetensors.torch import load_file
from torch import nn

from emoprune import plugins
from emoprune.contracts import about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.maskables import maskable_layers
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.recovery.masks.contract import Maskable, largest, zeros_of
from emoprune.problems.networks.recovery.masks.edge_popup import EdgePopup
from emoprune.problems.networks.recovery.masks.hard_concrete import HardConcrete, gates, lagrangian, open_probability
from emoprune.problems.networks.recovery.masks.pdp import Pdp
from emoprune.problems.networks.recovery.masks.training import Masked, check_untied, soft_stage, train_with_masks
from emoprune.problems.networks.recovery.masks.transport import Transport, transported
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.testing import conformance

UNVERIFIED = pytest.mark.usefixtures("unverified")
NONE = torch.Generator()

TestPdp = conformance("mask", "pdp")
TestTransport = conformance("mask", "transport")
TestHardConcrete = conformance("mask", "hard-concrete")
TestEdgePopup = conformance("mask", "edge-popup")
TestSoftMask = conformance(
    "recovery",
    "soft-mask",
    "weight-ratios",
    options={"mask": "transport"},
    shared={"epochs": 2, "formats": ["safetensors"]},
    sample=classmethod(copied),
    pytestmark=UNVERIFIED,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# pdp


def test_pdp_is_one_half_exactly_at_the_threshold_and_as_many_as_stay_are_above_it() -> None:
    sizes = torch.tensor([[4.0, 1.0, 3.0, 2.0, 2.5]])  # two stay: the threshold lies between 3 and 2.5
    at = torch.tensor([[4.0, 1.0, 3.0, 2.75, 2.5]])
    mask = Pdp().soft(sizes, {}, 2, 1.0, NONE)
    assert (mask > 0.5).tolist() == [[True, False, True, False, False]]
    scale = 0.1 * sizes.square().mean()
    expected = torch.sigmoid((at.square() - 2.75**2) / scale)
    assert float(expected[0, 3]) == 0.5
    torch.testing.assert_close(mask[0, :3], expected[0, :3])
    many = drawn(1, 1000)
    assert int((Pdp().soft(many, {}, 200, 1.0, NONE) > 0.5).sum()) == 200


def test_pdp_adds_no_parameter_and_its_gradient_does_not_flow_through_the_threshold() -> None:
    assert Pdp().begin(drawn(2, 5)) == {}
    sizes = drawn(1, 9).requires_grad_()
    Pdp().soft(sizes, {}, 3, 1.0, NONE).sum().backward()
    fixed = Pdp().soft(sizes.detach(), {}, 3, 1.0, NONE)
    scale = 0.1 * sizes.detach().square().mean()
    assert sizes.grad is not None
    torch.testing.assert_close(sizes.grad, fixed * (1 - fixed) * 2 * sizes.detach() / scale)


def test_pdp_reaches_the_ratio_along_its_ramp() -> None:
    sizes = drawn(1, 100)
    counts = [int((Pdp(ramp=0.5).soft(sizes, {}, 20, done, NONE) > 0.5).sum()) for done in (0.0, 0.25, 0.5, 1.0)]
    assert counts == [100, 60, 20, 20]


# transport


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 60), st.integers(0, 10_000), st.floats(1e-5, 1.0))
def test_a_plan_keeps_exactly_so_many_at_any_temperature(columns: int, seed: int, temperature: float) -> None:
    keep = 1 + seed % (columns - 1)
    mask = transported(drawn(2, columns, seed=seed), keep, temperature)
    assert mask.sum(dim=-1).tolist() == pytest.approx([keep, keep], abs=1e-6)


def test_the_gradient_of_a_plan_flows_through_its_shift_as_finite_differences_say() -> None:
    scores, weights = drawn(2, 7).requires_grad_(), drawn(2, 7, seed=1)
    assert torch.autograd.gradcheck(lambda own: (transported(own, 3, 0.4) * weights).sum(dim=-1), (scores,))


def test_at_the_end_nothing_is_left_between_and_the_highest_scores_stay() -> None:
    mask, scores = Transport(), {"scores": drawn(3, 40).float()}
    passing = mask.soft(scores["scores"], scores, 12, 1.0, NONE)
    assert not ((passing > 0.05) & (passing < 0.95)).any()
    assert torch.equal(passing > 0.5, largest(scores["scores"], 12))


# hard-concrete


def test_gates_are_open_as_often_as_the_closed_form_says() -> None:
    for logit in (-2.0, 0.0, 1.5):
        passed = gates(torch.full((200_000,), logit), torch.Generator().manual_seed(3))
        share = float((passed > 0).double().mean())
        assert share == pytest.approx(float(open_probability(torch.tensor(logit))), rel=0.01)


def test_multipliers_bring_the_expected_share_to_its_target() -> None:
    logits = drawn(1, 50).float().mul(2).requires_grad_()
    multipliers = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    wish = drawn(1, 50, seed=2).float()  # which gates the task would rather have open
    optimiser = torch.optim.Adam([logits, *multipliers], lr=0.05)
    for step in range(1500):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 1500)
        closed = 1 - open_probability(logits).mean()
        loss = -(open_probability(logits) * wish).mean() + lagrangian(closed, 0.6, *multipliers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(1 - open_probability(logits.detach()).mean()) == pytest.approx(0.6, abs=0.005)
    kept = HardConcrete().hard(wish, {"gates": logits}, 20)
    assert int((kept & largest(wish, 20)).sum()) >= 18


# edge-popup


def test_scores_learn_as_if_all_had_passed_and_only_the_highest_pass() -> None:
    scores = drawn(1, 6).requires_grad_()
    passing = EdgePopup().soft(scores, {"scores": scores}, 2, 0.5, NONE)
    weights = drawn(1, 6, seed=1)
    (passing * weights).sum().backward()
    assert scores.grad is not None
    assert torch.equal(scores.grad, weights)
    assert torch.equal(passing.detach(), largest(scores, 2).double())


# what masks act on


def linear_levels(treatment: Any, *, outgoing: int = 4, incoming: int = 10) -> LayerLevels:
    return LayerLevels.of([(Part("fc", "Linear", None, None, positions=1), (outgoing, incoming))], treatment)


def layer(outgoing: int = 4, incoming: int = 10) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(OrderedDict(fc=nn.Linear(incoming, outgoing)))


def test_the_n_of_every_m_are_rows_and_what_is_left_over_is_in_none() -> None:
    model, levels = layer(), linear_levels(Patterns(4))
    (found,) = maskable_layers(levels, np.array([1]))
    assert (found.rows, found.columns, found.keep) == (8, 4, 2)
    sizes = found.sizes(model)
    torch.testing.assert_close(sizes[1], model.fc.weight[0, 4:8].abs())
    spread = found.spread(torch.zeros(8, 4), "fc.weight", 1.0)
    assert torch.equal(spread[:, 8:], torch.ones(4, 2))
    assert not spread[:, :8].any()


def test_weights_of_a_layer_are_one_row_of_which_its_share_stays() -> None:
    model, levels = layer(), linear_levels(WeightShares((0.3, 1.0)))
    (found,) = maskable_layers(levels, np.array([0]))
    assert (found.rows, found.columns, found.keep) == (1, 40, 12)
    torch.testing.assert_close(found.sizes(model)[0], model.fc.weight.detach().abs().flatten())
    assert maskable_layers(levels, np.array([1])) == []
    with pytest.raises(ContractError, match="fc: expected to keep 1 to 40 of each row, found 0"):
        Maskable("fc", found.members, 1, 40, 0)


def test_what_two_layers_share_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    tied = Maskable("0", {"0.weight": torch.arange(16).view(4, 4)}, 1, 16, 4)
    with pytest.raises(ConfigError, match=r"0\.weight and 1\.weight are one tensor; put their layers into `ignore`"):
        check_untied(model, [tied])


class Rows:
    """Lessons of one batch: the output of a linear layer that is planted, whose rows hold two weights each."""

    def __init__(self, epochs: float = 200, spoiled_from: float = math.inf) -> None:
        self.inputs = drawn(64, 10, seed=4).float() - 0.5
        planted = torch.zeros(4, 10)
        planted[torch.arange(4), torch.arange(4)] = 1.0
        planted[torch.arange(4), torch.arange(4) + 5] = -1.0
        self.targets = self.inputs @ planted.T
        self.plan, self.each, self.of_training = Plan(epochs, 0.1, weight_decay=0.0), 1, True
        self.asked, self.spoiled_from = 0, spoiled_from

    def epoch(self, order: torch.Generator) -> list[None]:
        return [None]

    def loss(self, model: Any, batch: None, order: torch.Generator) -> tuple[torch.Tensor, int]:
        self.asked += 1
        loss = (model(self.inputs) - self.targets).square().mean()
        return (loss * math.nan if self.asked >= self.spoiled_from else loss), 64

    def optimiser(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    def score(self, model: Any) -> tuple[float, ...]:
        return (float((model(self.inputs) - self.targets).detach().square().mean()),)


class Planted:
    """One layer of which a fifth stays."""

    def __init__(self, seed: int = 1) -> None:
        self.model = layer()
        with torch.no_grad():
            self.model.fc.weight.copy_(torch.randn((4, 10), generator=torch.Generator().manual_seed(seed)) * 0.6)
        self._levels = linear_levels(WeightShares((0.2, 1.0)))

    def maskables(self) -> list[Maskable]:
        return maskable_layers(self._levels, np.array([0]))

    def decide(self, stays: Any) -> dict[str, torch.Tensor]:
        return zeros_of(self.maskables(), stays)


# What passes nothing misses by 0.167; edge-popup has only the weights that were drawn.
@pytest.mark.parametrize(
    ("mask", "missed"), [(Pdp(), 0.001), (Transport(), 0.001), (HardConcrete(), 0.1), (EdgePopup(rate=0.03), 0.15)]
)
def test_a_mask_finds_weights_that_were_planted_and_the_rest_is_zero(mask: Any, missed: float) -> None:
    pruned, lessons = Planted(), Rows(300)
    spent = train_with_masks(pruned, mask, lessons, 3, macs=40.0)
    assert int((pruned.model.fc.weight != 0).sum()) == 8
    assert lessons.score(pruned.model)[0] < missed
    assert spent.steps == spent.epochs == 300
    assert spent.forward_macs == 300 * 64 * 40


def test_edge_popup_leaves_weights_as_they_were_drawn_while_it_is_soft() -> None:
    pruned = Planted()
    before = pruned.model.fc.weight.detach().clone()
    masked = Masked(pruned.model, EdgePopup(), pruned.maskables())
    scores = [own.detach().clone() for own in masked.own.parameters()]
    soft_stage(masked, Rows(), 20, 0)
    assert torch.equal(before, pruned.model.fc.weight)
    assert not torch.equal(scores[0], next(iter(masked.own.parameters())))
    with pytest.raises(ConfigError, match="nothing to train, neither weights nor a parameter of its own"):
        soft_stage(Masked(pruned.model, _Unlearning(), pruned.maskables()), Rows(), 2, 0)


class _Unlearning(Pdp):
    trains_weights = False


class Killed(Exception):
    """Stands for a kill."""


def test_a_kill_under_masks_changes_not_one_bit(tmp_path: Path) -> None:
    whole = Planted()
    train_with_masks(whole, Transport(), Rows(40), 3, folder=tmp_path / "whole")
    for at in (11, 35):  # while the mask is soft, and after it

        class Interrupted(Rows):
            def loss(self, *given: Any) -> Any:
                if self.asked == at:  # noqa: B023  # called within this turn alone
                    raise Killed
                return super().loss(*given)

        with pytest.raises(Killed):
            train_with_masks(Planted(), Transport(), Interrupted(40), 3, folder=tmp_path / str(at))
        resumed, lessons = Planted(), Rows(40)
        spent = train_with_masks(resumed, Transport(), lessons, 3, folder=tmp_path / str(at))
        assert torch.equal(whole.model.fc.weight, resumed.model.fc.weight)
        assert lessons.asked == (40 if at == 11 else 10)
        assert spent.steps == 40


def test_a_loss_that_is_no_number_says_in_which_part_and_at_which_step() -> None:
    with pytest.raises(ConfigError, match="training under masks: hard: diverged at step 2 of 10"):
        train_with_masks(Planted(), Pdp(), Rows(40, spoiled_from=32), 0)


# within a problem


@UNVERIFIED
@pytest.mark.parametrize(("problem", "mask"), [("channels", "hard-concrete"), ("weight-ratios", "pdp")])
def test_a_candidates_own_ratios_are_kept_exactly(problem: str, mask: str, tmp_path: Path) -> None:
    made = prepared(copied(conformance("recovery", "soft-mask", problem)), tmp_path / "kept")
    genome = made.references()[-1].genome
    (tmp_path / "out").mkdir()
    method = {"name": "soft-mask", "mask": mask}
    found = made.recover(genome, tmp_path / "out", 1, method=method, epochs=2, formats=["safetensors"])
    row = made.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), next(iter(made._loaded.bench.images)))[0]
    assert found.values["test"]["macs"] == row[-1]
    assert found.description["forward macs"] == 48 * 2 * made._task.measures.unpruned["macs"]


@UNVERIFIED
def test_n_of_m_is_kept_exactly(tmp_path: Path) -> None:
    made = prepared(plugins.find("sample", "weight-ratios")(pattern="n:m", m=2), tmp_path / "kept")
    genome = made.references()[-1].genome
    (tmp_path / "out").mkdir()
    made.recover(genome, tmp_path / "out", 1, method="soft-mask", epochs=2, formats=["safetensors"])
    weight = load_file(tmp_path / "out" / "model.safetensors")["second.0.weight"]
    pairs = weight.movedim(1, -1).reshape(-1, 2)
    assert ((pairs != 0).sum(dim=1) <= 1).all()


def test_masks_and_shares_that_cannot_be_are_refused() -> None:
    for options, complaint in (
        ({"mask": "pdq"}, "no mask is called 'pdq'; did you mean 'pdp'"),
        ({"hard": 1.0}, "hard: expected a share of the epochs between 0 and 1, found 1.0"),
        ({"mask": {"name": "transport", "coldest": 0}}, "coldest: one above 0"),
        ({"mask": {"name": "pdp", "ramp": 2}}, "ramp: a share of the training"),
        ({"mask": {"name": "hard-concrete", "rate": 0}}, "rate: expected a number above 0"),
        ({"mask": {"name": "edge-popup", "rate": 0}}, "rate: expected a number above 0"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            plugins.method("recovery", {"name": "soft-mask", **options}, "channels")


@about("recovery", ["weights"], serves=["channels"], cost="nothing")
class TooMany(Pdp):
    """Keeps one more than it is told."""

    def hard(self, sizes: torch.Tensor, own: Any, keep: int) -> torch.Tensor:
        return largest(sizes, keep + 1)


@about("recovery", ["weights"], serves=["channels"], cost="nothing")
class Doubling(Pdp):
    """Passes more than all."""

    def soft(self, *given: Any) -> torch.Tensor:
        return 2 * super().soft(*given)


@about("recovery", ["weights"], serves=["channels"], cost="nothing")
class Unmoved(Pdp):
    """Is one from the start."""

    def soft(self, sizes: torch.Tensor, own: Any, keep: int, progress: float, generator: Any) -> torch.Tensor:
        return torch.ones_like(sizes) + 0 * sizes


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        (TooMany, "mask: expected exactly 1 of each row to stay, found"),
        (Doubling, "mask: expected numbers from 0 to 1, found others"),
        (Unmoved, "mask: expected gradients by sizes or its own parameters, found none that is not 0"),
    ],
)
def test_a_mask_that_breaks_its_promise_is_found(method: type, complaint: str) -> None:
    require_broken("mask", method, "channels", "test_it_keeps_the_promises_of_its_kind", complaint)
