"""Audits of real, small fronts: what they say when the proxy is right, useless or at chance, and that they repeat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from digits_for_tests import digits_bench, digits_data, digits_scores, digits_slicer
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_for_tests import SOUND, structure_of_zoo, zoo

from emoprune.contracts import Audit
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.audits.audit import FineTuned
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.audits.matching import TOLERANCE, matched_widths
from emoprune.problems.networks.channels.audits.proxy import Matched, audit_proxy
from emoprune.problems.networks.channels.audits.trials import Setting, Subject, Trials
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.objectives.kl import KL
from emoprune.problems.networks.evaluation.objectives.loss import Loss
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.quality import ERROR, Quality
from emoprune.problems.networks.evaluation.runner import PlainRunner, Runner, runner_of
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split
from emoprune.space import IntArray

FULL = np.array([32, 32, 64, 64, 64])
FRONT = np.stack([np.ceil(FULL * share).astype(np.int64) for share in (0.06, 0.1, 0.16, 0.25, 0.4, 0.7)])
QUICK = {"epochs": 0.5, "repeats": 2, "training_images": 128, "bands": 2, "siblings": 3}


class Reversed:
    """A proxy that gives each candidate the score of the one at the other end."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def outputs(self, variants: Sequence[Variant], split: Split) -> list[torch.Tensor]:
        return self._runner.outputs(variants, split)[::-1]

    def settled(self, variant: Variant) -> Variant:
        return self._runner.settled(variant)


class Blind:
    """A proxy that sees nothing."""

    def outputs(self, variants: Sequence[Variant], split: Split) -> list[torch.Tensor]:
        count = len(digits_bench().images[split].labels)
        generator = torch.Generator().manual_seed(3)
        return [torch.randn((count, 10), generator=generator) for _ in variants]

    def settled(self, variant: Variant) -> Variant:
        return variant


def slicer_of(scores: Sequence[Scores]) -> Slicer:
    return Slicer(digits_bench(), scores)


def runner() -> Runner:
    return PlainRunner(digits_bench(), AdaptiveBatchNorm())


def audit(by: Runner, widths: IntArray = FRONT, **options: object) -> Audit:
    bench, part = digits_bench(), digits_data().train
    asked: dict[str, Any] = {**QUICK, **options}
    table = asked.pop("table", None) or [np.arange(1, units + 1) for units in bench.structure.units]
    seed, quality = asked.pop("seed", 0), asked.pop("quality", ERROR)
    front = ChannelFront(widths, digits_scores(), slicer_of, bench, by, part, table, seed, quality)
    return FineTuned(**asked)(front)


def finding(found: Audit, name: str) -> tuple[float, bool, str]:
    own = next(each for each in found.findings if each.name == name)
    return own.value, own.alarm, own.sentence


@pytest.fixture(scope="module")
def sound() -> Audit:
    return audit(runner())


def test_a_sound_proxy_is_found_better_than_chance_along_the_front(sound: Audit) -> None:
    tau, alarm, sentence = finding(sound, "Kendall tau over the front")
    assert tau > 0.6
    assert not alarm
    assert "better than chance" in sentence
    names = [own.name for own in sound.findings]
    assert names[0] == "scores at chance level"
    assert {"Kendall tau at equal cost", "regret at equal cost", "Spearman over the front"} <= set(names)
    assert "partial Kendall tau with the cost held fixed" in names


def test_its_tables_hold_every_network_that_was_trained(sound: Audit) -> None:
    along, beside = (sound.tables[title] for title in ("along the front", "networks of equal cost"))
    model = CostModel.of(digits_bench().network, digits_bench().structure)
    assert [row["cost"] for row in along] == model.macs(FRONT).tolist()
    assert [row["band"] for row in beside] == [1, 1, 1, 1, 2, 2, 2, 2]
    for band in (1, 2):
        costs = np.array([row["cost"] for row in beside if row["band"] == band])
        assert np.abs(costs / costs[0] - 1).max() <= TOLERANCE
    assert all(0 <= row["error on test, trained"] <= 1 for row in (*along, *beside))
    json.dumps(asdict(sound), allow_nan=False)


def test_the_proxy_values_are_those_of_the_search(sound: Audit) -> None:
    bench, cut = digits_bench(), digits_slicer()
    labels = bench.images[Split.SEARCH].labels
    outputs = runner().outputs([cut.variant(own) for own in FRONT], Split.SEARCH)
    errors = [float((own.argmax(dim=1) != labels).double().mean()) for own in outputs]
    assert [row["error on search, as searched"] for row in sound.tables["along the front"]] == pytest.approx(
        errors, abs=1e-6
    )


def test_the_runner_that_shares_work_between_candidates_gives_the_same_audit(sound: Audit) -> None:
    chosen = runner_of(digits_bench(), AdaptiveBatchNorm(), 2**26, "float32")
    assert chosen.note is None
    found = audit(chosen.runner)
    for one, other in zip(found.findings, sound.findings, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-3)


def test_the_same_seed_gives_the_same_audit_and_another_seed_another(sound: Audit) -> None:
    assert audit(runner()) == sound
    assert audit(runner(), seed=1, siblings=0) != audit(runner(), seed=2, siblings=0)


def test_a_proxy_turned_round_raises_the_alarm() -> None:
    found = audit(Reversed(runner()), siblings=0)
    tau, alarm, sentence = finding(found, "Kendall tau over the front")
    assert tau < -0.6
    assert alarm
    assert "backwards" in sentence
    ratio, alarm, _ = finding(found, "anomaly ratio over the front")
    assert alarm
    assert ratio > 0.5


def test_a_proxy_that_sees_nothing_raises_the_alarm_at_chance_level() -> None:
    found = audit(Blind(), siblings=0)
    share, alarm, sentence = finding(found, "scores at chance level")
    assert alarm
    assert share > 0.5
    assert "nothing can be chosen by them" in sentence


def test_an_audit_leaves_the_unpruned_network_as_it_was() -> None:
    bench = digits_bench()
    before = {name: tensor.clone() for name, tensor in bench.network.state_dict().items()}
    audit(runner(), FRONT[:2], siblings=1, bands=1, scratch=True, scratch_epochs=0.5, scratch_points=1, scratch_cap=1.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in bench.network.state_dict().items())
    assert not bench.network.training
    assert not any(parameter.requires_grad for parameter in bench.network.parameters())


def test_loss_and_divergence_can_be_audited_as_well() -> None:
    for quality in (Quality("loss", Loss()), Quality("kl", KL())):
        found = audit(runner(), FRONT[::2], quality=quality, siblings=0)
        assert f"{quality.name} on test, trained" in found.tables["along the front"][0]
        assert all(row[f"{quality.name} on search, as searched"] > 0 for row in found.tables["along the front"])


def test_networks_that_keep_their_shape_are_audited_with_their_zeros() -> None:
    bench = digits_bench()
    weight = bench.network.get_parameter("conv3.weight")
    subjects = []
    for share in (0.1, 0.5, 0.9):
        mask = weight.abs() < weight.abs().flatten().quantile(share)
        network = with_tensors(bench.network, {"conv3.weight": weight.masked_fill(mask, 0.0)})
        subjects.append(Subject(Variant(network, {"conv3": share}), 1 - share, {"conv3.weight": mask}))
    trials = Trials(Plan(0.5), repeats=1, seed=0)
    setting = Setting(bench, runner(), TrainingImages.load(digits_data().train, "cpu", 128), trials)
    found = audit_proxy(subjects, Matched(), setting)
    assert [row["standard deviation"] for row in found.tables["along the front"]] == [None] * 3
    assert "networks of equal cost" not in found.tables


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"repeats": 0}, "repeats: expected at least 1"),
        ({"bands": 0}, "bands: expected 1 or more"),
        ({"siblings": -1}, "siblings: expected 0 or more"),
        ({"training_images": 1}, "training_images: expected at least 2"),
        ({"epochs": -1}, "epochs: expected a number above 0"),
        ({"scratch": True, "scratch_points": 0}, "scratch_points: expected 1 or more"),
        ({"rate": 1e30}, "lower the learning rate"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        audit(runner(), **{"siblings": 0, **options})


def test_where_no_network_costs_as_much_the_audit_says_so() -> None:
    two = [np.array([own, units]) for own, units in zip(FRONT[2], FULL, strict=True)]  # widths of each group
    found = audit(runner(), np.stack([FULL - 1, FULL]), table=two)
    _, alarm, sentence = finding(found, "networks of equal cost")
    assert alarm
    assert "No other networks cost as much as a candidate within 3%" in sentence
    assert "networks of equal cost" not in found.tables


def test_a_single_candidate_is_no_front() -> None:
    with pytest.raises(ConfigError, match="at least 2 candidates of 5 widths"):
        audit(runner(), FRONT[:1])
    with pytest.raises(ConfigError, match="at least 2 candidates of 5 widths"):
        audit(runner(), FRONT[:, :3])


def test_outputs_that_are_not_finite_are_named() -> None:
    class Broken(Blind):
        def outputs(self, variants: Sequence[Variant], split: Split) -> list[torch.Tensor]:
            made = super().outputs(variants, split)
            return [made[0], made[1] * torch.inf, *made[2:]]

    with pytest.raises(ContractError, match="candidate 2 are not finite"):
        audit(Broken(), siblings=0)


@pytest.mark.parametrize("name", SOUND)
def test_random_networks_of_equal_cost_cost_as_much(name: str) -> None:
    model = CostModel.of(zoo(name), structure_of_zoo(name))
    units = structure_of_zoo(name).units
    table = [np.arange(1, own + 1) for own in units]
    full = float(model.macs(np.array([units]))[0])
    found = matched_widths(model, table, 0.4 * full, 5, np.random.default_rng(0), tolerance=0.1)
    assert len(found) >= 3
    assert np.abs(model.macs(found) / (0.4 * full) - 1).max() <= 0.1
    assert len(np.unique(found, axis=0)) == len(found)
    assert ((found >= 1) & (found <= np.array(units))).all()


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 0.9), st.integers(0, 2**32 - 1))
def test_matched_widths_are_allowed_ones_and_the_same_for_the_same_seed(share: float, seed: int) -> None:
    bench = digits_bench()
    model = CostModel.of(bench.network, bench.structure)
    table = [np.unique(np.minimum(np.arange(4, units + 4, 4), units)) for units in bench.structure.units]
    macs = share * float(model.macs(FULL[np.newaxis])[0])
    one, other = (matched_widths(model, table, macs, 6, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one, other)
    assert all(np.isin(one[:, group], widths).all() for group, widths in enumerate(table))
    assert np.abs(model.macs(one) / macs - 1).max(initial=0.0) <= TOLERANCE


def test_where_nothing_else_costs_as_much_fewer_networks_come_back() -> None:
    bench = digits_bench()
    model = CostModel.of(bench.network, bench.structure)
    table = [np.arange(1, units + 1) for units in bench.structure.units]
    full = float(model.macs(FULL[np.newaxis])[0])
    found = matched_widths(model, table, full, 5, np.random.default_rng(0), tolerance=1e-9)
    assert found.tolist() in ([], [FULL.tolist()])
    with pytest.raises(ConfigError, match="tolerance below 1"):
        matched_widths(model, table, full, 5, np.random.default_rng(0), tolerance=2.0)
