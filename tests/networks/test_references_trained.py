"""References that train: what they learn is what stays of each layer, and what that took is told."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_for_tests import copied

from emoprune import plugins
from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.references.ratios import kept_share_of_pq
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.evaluation.sparsity_index import pq_index
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.trained.colt import overlapping
from emoprune.problems.networks.layers.references.trained.learned_ratios import PdpRatios
from emoprune.problems.networks.layers.references.trained.sap import sap_rounds, staying_of, turning_point
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.training import Training
from emoprune.problems.networks.unpruned.built_in.sample import few_digits, tiny
from emoprune.testing import MethodConformance, conformance

SLOW = pytest.mark.slow  # the same promises as TestPdp's, for methods that share its path

TestPdp = conformance(
    "reference", "pdp", "weight-ratios", options={"epochs": 1, "percentages": (40,)}, sample=classmethod(copied)
)
TestTransport = conformance(
    "reference",
    "transport",
    "weight-ratios",
    options={"epochs": 1, "percentages": (40,)},
    sample=classmethod(copied),
    pytestmark=SLOW,
)
TestHardConcrete = conformance(
    "reference",
    "hard-concrete",
    "weight-ratios",
    options={"epochs": 1, "percentages": (40,)},
    sample=classmethod(copied),
    pytestmark=SLOW,
)
TestColt = conformance(
    "reference",
    "colt",
    "weight-ratios",
    options={"share": 0.4, "percentages": (30,)},
    sample=classmethod(copied),
    pytestmark=SLOW,
)


def training(part: LabelledImages | None = None) -> Training:
    data = few_digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = tiny().eval()
    return Training(network, part or data.train, LoadedImages.load(data.select, "cpu"), 1.0, 1)


NAMES = ["first.0.weight", "second.0.weight", "third.0.weight", "classifier.weight"]


def test_overlapping_takes_fewer_rounds_than_iterative_magnitude_at_the_same_rate() -> None:
    own, plan = training(), Plan(1.0, 0.1, 16)
    both = overlapping(own.copy(), NAMES, [half.lessons(plan) for half in own.halves()], 0.2, 0.3, seed=1)
    alone = overlapping(own.copy(), NAMES, [own.lessons(plan)], 0.2, 0.3, seed=1)
    assert len(both) < len(alone)
    assert [each.share for each in alone] == pytest.approx([0.8 ** (n + 1) for n in range(len(alone))], abs=0.01)
    for one, other in pairwise(both):
        assert all(bool((other.masks[name] | ~one.masks[name]).all()) for name in NAMES)  # gone stays gone
    assert both[-1].spent.seen == 48 * len(both)  # each image is seen once in each round


def test_the_network_that_rounds_begin_with_stays_as_it_was_and_no_layer_is_emptied() -> None:
    own = training()
    model = own.copy()
    with torch.no_grad():
        model.get_parameter("classifier.weight").mul_(1e-4)  # the first to go
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rounds = overlapping(model, NAMES, [own.lessons(Plan(0.3, 1e-6, 16, weight_decay=0.0))], 0.5, 0.1, seed=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert int((~rounds[-1].masks["classifier.weight"]).sum()) == 1


def test_classes_that_are_missing_are_no_half_and_too_few_are_refused() -> None:
    train = few_digits().train
    some = np.isin(train.labels, (2, 7, 9))
    one, other = training(LabelledImages(train.images[some], train.labels[some])).halves()
    assert set(one.train.labels) == {2, 9}
    assert set(other.train.labels) == {7}
    alone = train.labels == 2
    with pytest.raises(ConfigError, match="images are of 1 classes; expected at least 2, with 2 images each"):
        training(LabelledImages(train.images[alone], train.labels[alone])).halves()


def test_what_training_took_and_led_to_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    references: list[Any] = [{"name": "pdp", "epochs": 2, "percentages": [50, 20]}]
    problem = plugins.find("sample", "weight-ratios")(references=references, shares=(0.1, 0.2, 0.3, 0.5, 0.7, 1.0))
    with caplog.at_level(logging.INFO, logger="emoprune"):
        problem.prepare(tmp_path, 1)
    assert "pdp-50: trained at 50 % it errs on" in caplog.text
    assert f"{3 * 2 * 48 * problem._task.measures.unpruned['macs']:.3g} multiply-accumulates" in caplog.text
    names = [each.name for each in problem.references()]
    assert names == ["unpruned", "pdp-50", "pdp-20"]
    counts = problem._levels.counted(
        np.stack([each.genome for each in problem.references()]), {"macs": 0.0, "parameters": 0.0, "bytes": 0.0}
    )
    left = [1 + own["parameters"] / problem._levels.sizes.sum() for own in counts]
    assert 0.5 <= left[1] < 0.8
    assert 0.2 <= left[2] < left[1]


def test_a_target_that_would_leave_less_than_there_are_layers_is_refused() -> None:
    layers = [(Part(name, "Linear", None, None, positions=1), (2, 4)) for name in ("one", "other")]
    levels = LayerLevels.of(layers, WeightShares((0.5, 1.0)))
    inputs = LayerReferenceInputs.of(levels, {}, dict, np.random.default_rng(0))
    with pytest.raises(
        ConfigError, match="'pdp': 5 % are 1 of 16 weights, fewer than there are layers; raise the perc"
    ):
        PdpRatios((5,)).found(replace(inputs, training=training()))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"name": "sap", "p": 1.0}, "PQ index: expected 0 < p < q, found p = 1.0 and q = 1.0"),
        ({"name": "colt", "share": 1.0}, "share: expected a share of the live weights between 0 and 1"),
        ({"name": "pdp", "epochs": 0}, "epochs: expected a number above 0"),
        ({"name": "hard-concrete", "percentages": [0]}, "percentages: expected whole numbers from 1 to 99"),
    ],
)
def test_options_that_cannot_be_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        plugins.method("reference", given, "weight-ratios")


def with_more_levels(cls: type[MethodConformance], **options: Any) -> Problem:
    return copied(cls, shares=(0.25, 0.5, 0.7, 0.9, 1.0), **options)


TestSap = conformance(
    "reference",
    "sap",
    "weight-ratios",
    options={"epochs": 0.5, "gamma": 6, "percentages": (80,)},
    sample=classmethod(with_more_levels),
    pytestmark=SLOW,
)


def test_without_training_a_round_of_sap_keeps_what_the_published_rule_says_of_each_layer() -> None:
    own = training()
    model = own.copy()
    expected = [
        max(1, round(weight.numel() * kept_share_of_pq(pq_index(weight.detach().numpy()), weight.numel(), 0.5, 1.0)))
        for weight in (model.get_parameter(name) for name in NAMES)
    ]
    first, *_ = sap_rounds(
        model,
        NAMES,
        own.lessons(Plan(0.3, 1e-12, 16, weight_decay=0.0)),
        partial(staying_of, p=0.5, q=1.0, gamma=1.0),
        0.99,
        seed=1,
        macs=2.0,
    )
    assert first.counts.tolist() == expected
    assert first.share == pytest.approx(sum(expected) / sum(model.get_parameter(name).numel() for name in NAMES))
    assert first.spent.forward_macs == first.spent.seen * 2.0
    assert [int((model.get_parameter(name) != 0).sum()) for name in NAMES] == expected


def test_rounds_of_sap_end_at_the_target_and_what_is_gone_stays_gone() -> None:
    own = training()
    model = own.copy()
    rounds = sap_rounds(
        model, NAMES, own.lessons(Plan(0.5, 0.1, 16)), partial(staying_of, p=0.5, q=1.0, gamma=6.0), 0.3, seed=1
    )
    assert rounds[-1].share <= 0.3 < rounds[-2].share
    assert all((other.counts <= one.counts).all() for one, other in pairwise(rounds))
    assert sum(int((model.get_parameter(name) != 0).sum()) for name in NAMES) == rounds[-1].counts.sum()


def test_the_limit_is_where_the_index_rises_after_it_fell() -> None:
    assert turning_point([0.5, 0.4, 0.3, 0.35, 0.2]) == 3
    assert turning_point([0.3, 0.4, 0.35, 0.36]) == 3
    assert turning_point([0.5, 0.4, 0.3]) == 0
    assert turning_point([0.3, 0.4, 0.5]) == 0
    assert turning_point([]) == 0
