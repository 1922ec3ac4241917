"""Training in rounds: what is set back, what goes on, what is chosen, and that a kill changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_for_tests import copied, prepared
from torch import nn
from zoo_for_tests import IMAGES, structure_of_zoo, zoo

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.rounds import ChannelRounds
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.images import ImageLessons
from emoprune.problems.networks.recovery.rounds.states import State, Thetas
from emoprune.problems.networks.recovery.rounds.trainer import Course, train_in_rounds
from emoprune.problems.networks.unpruned.built_in.sample import few_digits, tiny
from emoprune.records import Split
from emoprune.testing import conformance

UNVERIFIED = pytest.mark.usefixtures("unverified")

TestRewindRate = conformance(
    "recovery",
    "rewind-rate",
    "channels",
    shared={"epochs": 2, "formats": ["safetensors"]},
    sample=classmethod(copied),
    pytestmark=UNVERIFIED,
)
TestRewindWeights = conformance(
    "recovery",
    "rewind-weights",
    "weight-ratios",
    options={"start": "initialisation", "step": 1},
    shared={"epochs": 8, "formats": ["safetensors"]},
    sample=classmethod(copied),
    pytestmark=UNVERIFIED,
)


class Relu(nn.Module):
    """a relu(w·x): what rewinding is told apart by."""

    def __init__(self, weights: torch.Tensor, out: float) -> None:
        super().__init__()
        self.w = nn.Parameter(weights.clone())
        self.a = nn.Parameter(torch.tensor(out))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.a * torch.relu(rows @ self.w)


@dataclass
class Toy:
    """Rows whose target is relu of their first column, all of them in one batch."""

    rows: torch.Tensor
    plan: Plan
    of_training: bool = True
    each: int = 1
    scored: list[tuple[float, ...]] = field(default_factory=list)
    spoiled_from: float = math.inf
    asked: int = 0

    def epoch(self, order: torch.Generator) -> Sequence[Any]:
        return [torch.randperm(len(self.rows), generator=order)]

    def loss(self, model: Any, batch: Any, order: torch.Generator) -> tuple[torch.Tensor, int]:
        self.asked += 1
        rows = self.rows[batch]
        loss = (model(rows) - torch.relu(rows[:, 0])).square().mean()
        return (loss * math.nan if self.asked >= self.spoiled_from else loss), len(rows)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.5)

    def score(self, model: Any) -> tuple[float, ...]:
        self.scored.append((float((model(self.rows) - torch.relu(self.rows[:, 0])).detach().square().mean()),))
        return self.scored[-1]


@dataclass
class OneStays:
    """Of all weights the largest ones stay, at last a single one."""

    model: Any
    seen: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def masks(self, share: float) -> dict[str, torch.Tensor]:
        self.seen.append(State.of(self.model).model)  # type: ignore[arg-type]  # a dict by then
        weights = self.model.w.detach()
        mask = torch.zeros(len(weights), dtype=torch.bool)
        mask[torch.argsort(weights.abs())[: round((len(weights) - 1) * share)]] = True
        return {"w": mask}

    def remembered(self) -> dict[str, torch.Tensor]:
        return {}

    def remind(self, remembered: Any) -> None:
        assert remembered == {}


def toy(columns: int, *, positive: bool, seed: int = 0, epochs: float = 160) -> tuple[OneStays, Toy]:
    """Return a unit whose first weight begins with the wrong sign, or with the right one, and what it learns."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(200, columns, generator=generator)
    start = torch.randn(columns, generator=generator) * 0.3
    start[0] = (start[0].abs() + 0.1) * (1 if positive else -1)
    return OneStays(Relu(start, 0.5)), Toy(rows, Plan(epochs, 0.2, weight_decay=0.0, clip=100.0))


def learnt(columns: int, *, weights: bool, positive: bool, seed: int = 0) -> bool:
    pruned, lessons = toy(columns, positive=positive, seed=seed)
    train_in_rounds(pruned, lessons, Course(1, weights=weights), seed)
    assert int((pruned.model.w != 0).sum()) <= 1
    return lessons.score(pruned.model)[0] < 1e-3


def test_with_ten_inputs_a_wrong_sign_is_learnt_with_the_rate_set_back_and_lost_with_the_weights() -> None:
    assert [learnt(10, weights=False, positive=False, seed=seed) for seed in range(3)] == [True] * 3
    assert [learnt(10, weights=True, positive=False, seed=seed) for seed in range(3)] == [False] * 3
    assert [learnt(10, weights=weights, positive=True) for weights in (False, True)] == [True, True]


def test_with_one_input_the_two_are_alike_whatever_the_sign() -> None:
    for positive in (True, False):
        found = {learnt(1, weights=weights, positive=positive) for weights in (False, True)}
        assert found == {positive}


def test_a_round_goes_on_from_where_the_last_one_ended_and_only_the_last_one_is_scored() -> None:
    pruned, lessons = toy(10, positive=True, epochs=12)
    train_in_rounds(pruned, lessons, Course(3), 0)
    assert len(lessons.scored) == 3  # steps of the last round, no more than its three
    assert lessons.scored[-1] == min(lessons.scored)
    first, second, third = pruned.seen
    assert not torch.equal(first["w"], second["w"])
    assert (second["w"] == 0).sum() == 3
    assert (third["w"] == 0).sum() == 6


def test_weights_are_set_back_to_the_start_or_to_an_early_step_with_the_optimiser(tmp_path: Path) -> None:
    for step, key in ((0, "start"), (2, "step")):
        pruned, lessons = toy(6, positive=True, epochs=12)
        start = pruned.model.w.detach().clone()
        train_in_rounds(pruned, lessons, Course(1, weights=True, step=step), 0, folder=tmp_path, key=key)
        thetas = Thetas.of(tmp_path, key)
        back, dense = thetas.find("back"), thetas.find("dense")
        assert back is not None
        assert dense is not None
        assert torch.equal(back[0].model["w"], start) == (step == 0)
        assert bool(back[0].optimiser) == (step > 0)
        assert not torch.equal(dense[0].model["w"], back[0].model["w"])


def test_a_state_that_is_kept_sets_a_model_and_its_optimiser_back_to_the_bit(tmp_path: Path) -> None:
    pruned, lessons = toy(4, positive=True)
    model, optimiser = pruned.model, lessons.optimiser(pruned.model.parameters())

    def step() -> list[float]:
        loss, _ = lessons.loss(model, torch.arange(50), torch.Generator())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return [float(own.detach().sum()) for own in model.parameters()]

    step()
    thetas = Thetas.of(tmp_path, "one")
    thetas.keep("now", State.of(model, optimiser), steps=1)
    expected = [step(), step()]
    found = thetas.find("now")
    assert found is not None
    found[0].into(model, optimiser)
    assert [step(), step()] == expected
    assert Thetas(thetas.folder, "another").find("now") is None
    assert thetas.folder is not None
    (thetas.folder / "now.safetensors").write_bytes(b"torn")
    assert thetas.find("now") is None


class Killed(Exception):
    """Stands for a kill."""


def spent_until(folder: Path, at: int | None, **course: Any) -> tuple[dict[str, torch.Tensor], Any]:
    pruned, lessons = toy(8, positive=True, epochs=16)
    if at is not None:
        within, lessons.loss = lessons.loss, None  # type: ignore[assignment,method-assign]

        def loss(*given: Any) -> Any:
            if lessons.asked == at:
                raise Killed
            return within(*given)

        lessons.loss = loss  # type: ignore[method-assign]
    spent = train_in_rounds(pruned, lessons, Course(**course), 3, folder=folder, macs=8.0)
    return State.of(pruned.model).model, spent  # type: ignore[return-value]  # a dict by then


@pytest.mark.parametrize("weights", [False, True])
def test_a_kill_in_the_middle_of_a_round_changes_not_one_bit(weights: bool, tmp_path: Path) -> None:
    course = {"rounds": 3, "weights": weights, "step": 1}
    expected, spent = spent_until(tmp_path / "whole", None, **course)
    for at in (2, 6, 12):
        with pytest.raises(Killed):
            spent_until(tmp_path / f"{at}", at, **course)
        found, again = spent_until(tmp_path / f"{at}", None, **course)
        assert all(torch.equal(expected[name], own) for name, own in found.items())
        assert (again.steps, again.seen, again.forward_macs) == (spent.steps, spent.seen, spent.forward_macs)
    assert spent.steps == (13 if weights else 16)
    assert spent.epochs == spent.steps
    assert spent.forward_macs == spent.seen * 8 == spent.backward_macs / 2


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    expected, _ = spent_until(tmp_path, None)
    found, _ = spent_until(tmp_path, 0)  # would be killed at its first step
    assert all(torch.equal(expected[name], own) for name, own in found.items())


def test_a_loss_that_is_no_number_says_when_and_what_is_kept(tmp_path: Path) -> None:
    pruned, lessons = toy(8, positive=True, epochs=16)
    lessons.spoiled_from = 7
    with pytest.raises(ConfigError, match=r"round 1: diverged at step 3 of 4 .*; round-0\.safetensors .* last good"):
        train_in_rounds(pruned, lessons, Course(3), 0, folder=tmp_path)
    assert len(list(tmp_path.glob("*/round-0.safetensors"))) == 1


def test_schedules_say_when_is_pruned() -> None:
    assert Course(4).shares == (0.25, 0.5, 0.75, 1.0)
    assert Course(3, "cyclic").shares == (1.0, 1.0, 1.0)
    assert Course(3, "one-shot").shares == (1.0,)
    with pytest.raises(ConfigError, match="rounds: expected 1 or more, found 0"):
        Course(0)


def test_a_step_that_the_first_training_does_not_have_is_refused() -> None:
    pruned, lessons = toy(6, positive=True, epochs=12)
    with pytest.raises(ConfigError, match="step: expected fewer than the 6 steps of the first training, found 6"):
        train_in_rounds(pruned, lessons, Course(1, weights=True, step=6), 0)


def test_batch_norms_are_set_back_with_the_rate_and_other_weights_are_not(tmp_path: Path) -> None:
    problem = prepared(plugins.find("sample", "channels")(), tmp_path)
    bench = problem._loaded.bench
    few = bench.calibration.batches[0][:4]
    case_rounds = ChannelRounds(bench.network, bench.structure, problem._kept_units, np.array([3, 4, 4]), few)
    begun = State.of(case_rounds.model).model
    ended: dict[str, torch.Tensor] = {}

    class Watched(Toy):
        def loss(self, model: Any, batch: Any, order: torch.Generator) -> tuple[torch.Tensor, int]:
            if self.asked == 2:
                ended.update(State.of(model).model)
            self.asked += 1
            return model(self.rows).square().mean(), len(self.rows)

        def score(self, model: Any) -> tuple[float, ...]:
            return (0.0,)

    lessons = Watched(torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), Plan(4, 0.5))
    train_in_rounds(case_rounds, lessons, Course(1), 0)
    norms = {name for name in begun if name.split(".")[-2:][0] == "1"}
    assert {name for name in begun if torch.equal(begun[name], ended[name])} >= norms
    assert not torch.equal(begun["first.0.weight"], ended["first.0.weight"])
    assert (ended["second.0.weight"] == 0).any()


def test_statistics_are_estimated_anew_before_a_network_is_scored() -> None:
    data = few_digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = tiny().eval()
    norm = model.get_submodule("first.1")
    with torch.no_grad():
        norm.running_mean.fill_(100.0)  # as of another network
    lessons = ImageLessons(TrainingImages.load(data.train, "cpu"), Plan(1), LoadedImages.load(data.select, "cpu"))
    weights = model.get_parameter("first.0.weight").detach().clone()
    first, again = lessons.score(model), lessons.score(model)
    assert first == again
    seen = model.get_submodule("first.0")(lessons.training.images).detach()
    torch.testing.assert_close(norm.running_mean, seen.mean(dim=(0, 2, 3)))
    assert norm.momentum == 0.1
    assert not any(module.training for module in model.modules())
    assert torch.equal(weights, model.get_parameter("first.0.weight"))


@UNVERIFIED
@pytest.mark.parametrize("problem", ["channels", "weight-ratios"])
def test_a_network_recovered_in_rounds_has_the_candidates_size_and_says_what_it_took(
    problem: str, tmp_path: Path
) -> None:
    made = prepared(plugins.find("sample", problem)(), tmp_path / "kept")
    genome = made.references()[-1].genome
    (tmp_path / "out").mkdir()
    found = made.recover(
        genome, tmp_path / "out", 1, method={"name": "rewind-rate", "rounds": 1}, epochs=2, formats=["safetensors"]
    )
    (row,) = made.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.TEST)
    assert found.values["test"]["macs"] == row[-1]
    macs = made._task.measures.unpruned["macs"]
    assert found.description["forward macs"] == 48 * 2 * macs
    assert found.description["backward macs"] == 2 * found.description["forward macs"]
    assert found.description["epochs"] == 2.0
    assert list((tmp_path / "kept" / "rounds").glob("*/*/dense.safetensors"))


def test_channels_do_not_go_in_rounds_where_a_norm_sees_all_of_them(tmp_path: Path) -> None:
    structure: Structure = structure_of_zoo("convnext")
    half = [np.arange(0, units, 2) for units in structure.units]
    images = torch.randn((4, *IMAGES), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ConfigError, match="sees those that go as well as those that stay; take finetune"):
        ChannelRounds(zoo("convnext"), structure, lambda _: half, np.array([len(own) for own in half]), images)
