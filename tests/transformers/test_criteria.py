"""What ranks heads and neurons: every criterion keeps its promise, and means what its paper says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emoprune import plugins
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.criteria.by_name import criterion_named
from emoprune.problems.networks.transformers.criteria.checks import check_criterion
from emoprune.problems.networks.transformers.criteria.contract import Scores, TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.gates import HeadGates
from emoprune.problems.networks.transformers.criteria.heapr import HEAPr, HEAPrExact
from emoprune.problems.networks.transformers.criteria.samples import sample_evidences
from emoprune.problems.networks.transformers.criteria.statistics import statistics_of
from emoprune.problems.networks.transformers.criteria.weights import Magnitude, Wanda


class Placed(Magnitude):
    """Scores neurons by where they stand, too."""

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        return [own + np.arange(len(own)) for own in super().__call__(evidence)]


class Stained(Magnitude):
    """Leaves something behind in the model."""

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        evidence.model.get_submodule("model.layers.0.mlp.down_proj").weight[0] = 0.0
        return super().__call__(evidence)


def plain(*, experts: bool = False) -> TransformerEvidence:
    return sample_evidences()[experts]


def test_heapr_by_traffic_keeps_the_promises_of_a_criterion() -> None:
    check_criterion(lambda: HEAPr(by_traffic=True))


@pytest.mark.parametrize(
    ("broken", "words"),
    [(Placed, "scores that change places with their units"), (Stained, r"changed: \['model.layers.0.mlp.down_proj")],
)
def test_a_criterion_that_breaks_a_promise_is_told_which(broken: type[Magnitude], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        check_criterion(broken)


def test_a_gate_s_derivative_is_what_closing_it_a_little_changes() -> None:
    evidence = plain()
    place, sums = next(item for item in statistics_of(evidence).items() if item[0].group == 3)
    module = evidence.model.get_submodule(place.path)
    unit, step, by_example = 4, 1e-2, []  # norms are computed in 32 bits
    for batch in evidence.calibration:
        losses = []
        for scale in (1 + step, 1 - step):
            kept = module.weight[:, unit].clone()
            module.weight[:, unit] = kept * scale
            rows = [replace(batch, inputs={"input_ids": row[None]}) for row in batch.inputs["input_ids"]]
            losses.append([float(evidence.task.loss(evidence.model, row)) for row in rows])
            module.weight[:, unit] = kept
        by_example += [(high - low) / (2 * step) for high, low in zip(*losses, strict=True)]
    assert float(sums.example_squares[unit]) == pytest.approx(sum(own**2 for own in by_example), rel=1e-2)


@pytest.mark.parametrize("criterion", [HEAPr(), HEAPrExact(), Wanda(), HeadGates()])
def test_a_neuron_that_nobody_reads_scores_nothing(criterion: TransformerCriterion) -> None:
    evidence = plain()
    down = evidence.model.get_submodule("model.layers.1.mlp.down_proj")
    down.weight[:, 6] = 0.0
    scores = criterion(evidence)[3]
    assert scores[6] == 0 < np.delete(scores, 6).min()


def test_wanda_s_layers_can_be_held_against_each_other_however_large_their_activations_grow() -> None:
    evidence = plain()
    scores = Wanda()(evidence)
    assert [own.mean() for own in scores] == pytest.approx([1.0] * len(scores))
    evidence.model.get_submodule("model.layers.0.mlp.down_proj").weight.mul_(100)
    for before, after in zip(scores, Wanda()(evidence), strict=True):
        assert after.mean() == pytest.approx(before.mean())


def test_heapr_and_its_exact_cousin_agree_where_activations_and_gradients_are_independent() -> None:
    for evidence in sample_evidences():
        taken_apart, exact = HEAPr()(evidence), HEAPrExact()(evidence)
        for one, other in zip(taken_apart[1::2], exact[1::2], strict=True):
            assert np.corrcoef(np.log(one + 1e-12), np.log(other + 1e-12))[0, 1] > 0.5


def test_an_expert_s_means_are_over_the_tokens_that_were_sent_to_it() -> None:
    evidence = plain(experts=True)
    sums = statistics_of(evidence)
    counts = [own.tokens for place, own in sums.items() if place.group == 1]
    tokens = sum(batch.inputs["input_ids"].numel() for batch in evidence.calibration)
    assert sum(counts) == 2 * tokens  # each token goes to two of three experts
    by_traffic, plainly = HEAPr(by_traffic=True)(evidence)[1], HEAPr()(evidence)[1]
    shares = np.repeat(np.array(counts) / max(own.tokens for own in sums.values()), 10)
    np.testing.assert_allclose(by_traffic, plainly * shares, rtol=1e-9)


def test_tokens_that_are_only_padding_count_nowhere() -> None:
    evidence = plain()
    cut = [replace(batch, inputs={"input_ids": batch.inputs["input_ids"][:, :4]}) for batch in evidence.calibration]
    masked = []
    for batch in evidence.calibration:
        ids = batch.inputs["input_ids"]
        mask = torch.ones_like(ids)
        mask[:, 4:] = 0
        masked.append(replace(batch, inputs={"input_ids": ids, "attention_mask": mask}))
    short = statistics_of(replace(evidence, calibration=cut))
    padded = statistics_of(replace(evidence, calibration=masked))
    first = next(iter(short))
    torch.testing.assert_close(padded[first].squares, short[first].squares)
    assert padded[first].tokens == short[first].tokens


def test_every_criterion_that_serves_heads_and_neurons_can_be_had_by_name() -> None:
    serving = {
        name
        for name in plugins.available("criterion")
        if plugins.serves(plugins.find("criterion", name), "heads-and-neurons")
    }
    assert serving == {"head-gates", "heapr", "heapr-exact", "k-prune", "magnitude", "random", "wanda"}
    assert all(criterion_named(name, "heads-and-neurons") is not None for name in serving)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("l1", r"'l1' serves channels.*, not heads-and-neurons"),
        ("heaper", r"no criterion is called 'heaper'; did you mean 'heapr'"),
        ({"name": "k-prune", "head_weight": 0}, "head_weight and temperature above 0"),
        ({"head_weight": 1}, "expected a name"),
    ],
)
def test_a_criterion_that_cannot_be_used_is_refused(given: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        criterion_named(given, "heads-and-neurons")  # type: ignore[arg-type]  # some are wrong on purpose


def test_channels_refuse_a_criterion_that_ranks_heads() -> None:
    with pytest.raises(ConfigError, match="criterion: 'heapr' serves heads-and-neurons, not channels"):
        Channels(criterion="heapr")
