"""Every method of the problems on networks, and those of a stranger, which go through the same door."""

from __future__ import annotations

import copy
import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from methods_for_tests import copied, prepared, require_broken, target

import emoprune
from emoprune import plugins
from emoprune.commands.questions import Question
from emoprune.contracts import (
    Audit,
    Direction,
    Failure,
    Finding,
    Found,
    MeasuredErrors,
    Problem,
    Reference,
    Starts,
    about,
    about_of,
)
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.sample import sample as channels
from emoprune.problems.networks.criteria.samples import sample_evidences
from emoprune.problems.networks.evaluation.objectives.contract import Seen
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.proxies.contract import NormStatistics
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.saliencies.contract import ScoredLayer
from emoprune.problems.networks.layers.saliencies.of_networks import network_scores
from emoprune.problems.networks.layers.sample import weight_ratios
from emoprune.problems.networks.layers.treatments.statistics import statistics_for
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.subnetworks.sample import sample as subnetworks
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE
from emoprune.records import Candidate, Split
from emoprune.testing import ProblemConformance, conformance

PROBLEMS = ("channels", "subnetworks", "weight-ratios", "bit-widths")
KINDS = ("criterion", "saliency", "compensation", "proxy", "reference", "objective", "recovery", "audit")
# Checked once for each problem, by other tests: an export loads what was written in a fresh process.
UNEXPORTED = {"test_an_export_writes_files_and_leaves_the_problem_as_it_was": None}
UNVERIFIED = pytest.mark.usefixtures("unverified")
QUICK: dict[str, dict[str, Any]] = {
    "lasso": {"ordered": True, "tolerance": 1e-6},  # places are drawn batch by batch, and the path solves equations
    # Other batches give other gradients, and blocks that are shorter than a filter depend on the inputs' order.
    "mfac": {"ordered": True, "options": {"gradients": 12, "block": 10**6}},
    "saliency mfac": {},
    "kfac": {"ordered": True},  # places are drawn batch by batch
    "criterion relu-optimal": {"ordered": True},  # likewise
    "flatness": {"options": {"iterations": 2, "images": 8}},
    "saliency swap": {"options": {"stages": 2, "steps": 1}},
    "random": {"blind": True},
    "l0-gates": {"blind": True, "options": {"steps": 2}},  # each gate draws noise of its own
    "variational-gates": {"blind": True, "options": {"steps": 2}},
    "group-lasso": {"options": {"steps": 2}},
    "soft-filters": {"options": {"rounds": 2, "steps": 1}},
    "eagle-eye": {"options": {"candidates": 2, "tries": 500}},
    "audit criteria": {"options": {"criteria": ["l1", "random"], "units": 2}},
    "audit membership-risk": {"options": {"epochs": 0.2}},
    "fine-tuned": {"options": {"epochs": 0.5, "repeats": 1, "siblings": 0}},
    "finetune": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "distil": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "constrained": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "rewind-rate": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "rewind-weights": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "irrelevance-decay": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "soft-mask": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
    "sparse-training": {"shared": {"epochs": 1, "formats": ["safetensors"]}, "pytestmark": UNVERIFIED},
}


def own_methods(kind: str) -> list[tuple[str, str]]:
    """Return the installed methods of a kind that problems on networks without transformers serve, each once."""
    found: dict[str, str] = {}
    for problem in PROBLEMS:
        for name, entry in plugins.serving(kind, problem).items():
            if "transformers" not in entry.extras and plugins.serves(entry.load(), problem):
                found.setdefault(entry.value, f"{problem} {name}")
    return [(name.partition(" ")[0], name.partition(" ")[2]) for name in found.values()]


METHODS = [(kind, name, problem) for kind in KINDS for problem, name in own_methods(kind)]

# Each method is tried by a class that is made for it here, so one that is added is covered by being installed. What
# is measured with a clock is another number each time, and has tests of its own.
for _kind, _name, _problem in METHODS:
    if not _name.startswith("milliseconds"):
        _members = {
            "genomes": 1,
            "sample": classmethod(copied),
            **UNEXPORTED,
            **QUICK.get(f"{_kind} {_name}", QUICK.get(_name, {})),
        }
        globals()[f"Test {_kind} {_name} of {_problem}"] = conformance(_kind, _name, _problem, **_members)


@pytest.mark.parametrize(
    ("kind", "name", "problem"), [each for each in METHODS if each[0] in ("criterion", "saliency", "compensation")]
)
def test_a_method_says_truly_whether_it_needs_gradients(kind: str, name: str, problem: str) -> None:
    method = plugins.method(kind, name, problem)
    use = {"criterion": method, "saliency": partial(network_scores, method)}.get(kind)
    if use is None:
        use = partial(repair_statistics, method) if problem == "weight-ratios" else method.statistics
    own = about_of(method)
    assert own is not None
    evidence, again = sample_evidences()[0], sample_evidences()[0]
    with torch.inference_mode():  # where there are no gradients
        try:
            without = numbers(use(evidence))
        except RuntimeError:
            without = None
    assert (without != numbers(use(again))) == own.gradients


def repair_statistics(method: object, evidence: Evidence) -> dict[str, Any]:
    return statistics_for(method, evidence, evidence.structure.weighted)


def numbers(found: Any) -> list[Any]:
    return [np.asarray(each).tolist() for each in (found.values() if isinstance(found, dict) else found)]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_says_what_it_is(problem: str) -> None:
    own = about_of(plugins.find("problem", problem))
    assert own is not None
    assert not own.training


@UNVERIFIED
class TestSubnetworks(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return copied(conformance("recovery", "constrained", "subnetworks"))


# What a stranger adds, each found by its import target.


@about("pruning", ["channels"], serves=["channels", "subnetworks"], cost="nothing")
@dataclass(frozen=True)
class Narrow:
    """Coupling groups that are all as narrow as they can be."""

    above: int = 0

    def found(self, inputs: ReferenceInputs) -> Found:
        genome = np.minimum(inputs.space.full, self.above)
        return Found((Reference("narrow", genome),), notes=("narrow is narrow",))


@about("pruning", ["layers"], serves=["weight-ratios", "bit-widths"], cost="one evaluation for each level")
class BestUniform:
    """The best of all uniform levels, by its error."""

    def found(self, inputs: LayerReferenceInputs) -> Found:
        levels = [inputs.levels.encode(level) for level in range(inputs.levels.highest)]
        return Found(starts={"uniform": np.stack(levels)})

    def picked(self, inputs: LayerReferenceInputs, starts: Starts, measured: MeasuredErrors) -> Found:
        return Found((Reference("best-uniform", starts["uniform"][measured(starts["uniform"]).argmin()]),))


class Asking(Narrow):
    """Wants genomes to be measured."""

    def picked(self, inputs: ReferenceInputs, starts: Starts, measured: MeasuredErrors) -> Found:
        return Found()


class FirstUnits:
    """A criterion of before methods said what they are: the first units stay."""

    leaf: ClassVar[str] = "filter ranking/weight norm"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        return [-np.arange(units, dtype=np.float64) for units in evidence.structure.units]


class OfHeads(FirstUnits):
    """One that says whom it serves as it was said then."""

    serves: ClassVar[tuple[str, ...]] = ("heads-and-neurons",)


@about("measurement", ["network"], serves=["channels"], cost="one pass over the calibration images")
@dataclass(frozen=True)
class Mixed:
    """Some of the old statistics, and the rest of the batches' averages."""

    old: float = 0.5

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        new = AdaptiveBatchNorm()(sliced, batches)
        mean, variance = (
            self.old * getattr(sliced, name) + (1 - self.old) * getattr(new, name) for name in ("mean", "variance")
        )
        return NormStatistics(mean, variance)


@about("measurement", ["network"], serves=PROBLEMS, cost="one pass over the images")
@dataclass(frozen=True)
class Brier:
    """Mean squared distance of probabilities from the labels."""

    power: int = 2

    unit = ""
    direction = Direction.MINIMISE
    needs = "outputs"

    def __call__(self, seen: Seen) -> float:
        shares = torch.softmax(seen.outputs.double(), dim=1)
        wanted = torch.nn.functional.one_hot(seen.labels, shares.shape[1])
        return float((shares - wanted).abs().pow(self.power).sum(dim=1).mean())


@about("measurement", ["network"], serves=PROBLEMS, cost="a count")
class Density:
    """Multiply-accumulates per byte."""

    unit = "1/B"
    direction = Direction.MAXIMISE
    needs = "counts"
    shares = True

    def __call__(self, seen: Seen) -> float:
        return seen.counts["macs"] / seen.counts["bytes"]


@about("measurement", ["network"], serves=["channels"], cost="nothing")
class Endless:
    """No number, and all that there is to see."""

    unit = ""
    direction = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        assert seen.unpruned_outputs.shape == seen.outputs.shape
        assert not seen.network.training
        return math.inf


@about("measurement", ["network"], serves=["channels"], cost="nothing")
class Blind(Endless):
    """Asks for outputs without saying so."""

    needs = "network"


class Loss(Endless):
    """Called as another measure."""


@about("recovery", ["network"], serves=["channels", "weight-ratios"], cost="nothing")
@dataclass(frozen=True)
class Shifted:
    """The network with another bias at its end, or with nothing but ones in its convolutions."""

    by: float = 0.1
    ones: bool = False

    def __call__(self, case: NetworkCase) -> torch.nn.Module:
        network = trainable(case.network)
        with torch.no_grad():
            network.get_parameter("classifier.bias").add_(self.by * case.seed * case.plan.epochs)
            if self.ones:
                network.get_parameter("second.0.weight").fill_(1.0)
        return network


@about("recovery", ["network"], serves=["channels", "subnetworks", "weight-ratios"], cost="nothing")
class Undone:
    """The unpruned network."""

    def __call__(self, case: NetworkCase) -> torch.nn.Module:
        return copy.deepcopy(case.bench.network)


class Wider(Undone):
    """The pruned network with one more buffer."""

    def __call__(self, case: NetworkCase) -> torch.nn.Module:
        network = trainable(case.network)
        network.register_buffer("more", torch.zeros(3))
        return network


class InPlace(Undone):
    """Changes the network that it is given."""

    def __call__(self, case: NetworkCase) -> torch.nn.Module:
        case.network.get_parameter("classifier.bias").data.add_(0.1)
        return case.network


class Unlearned(Undone):
    """Changes the unpruned network."""

    def __call__(self, case: NetworkCase) -> torch.nn.Module:
        case.bench.network.get_parameter("classifier.bias").data.add_(0.1)
        return trainable(case.network)


@about("pruning", ["weights"], serves=["weight-ratios"], cost="nothing")
class Magnitude:
    """Absolute weights, for others to spoil."""

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return layer.weight.abs()


class NoNumbers(Magnitude):
    """Divides by the norm of each filter's differences, which is nothing where there is one weight."""

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return layer.weight / layer.weight.flatten(1).std(dim=1).mul(0).view(-1, *[1] * (layer.weight.ndim - 1))


class Unseeded(Magnitude):
    """Draws by torch's own generator."""

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return torch.rand(layer.weight.shape)


class Unsteady(Magnitude):
    """Draws by a generator that nobody sees."""

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng().random(layer.weight.shape))


class Overwriting(Magnitude):
    """Makes the weights positive."""

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return layer.weight.abs_()


class OfNumpy(Magnitude):
    """Returns another kind of array."""

    def __call__(self, layer: ScoredLayer) -> Any:
        return layer.weight.abs().numpy()


@about("pruning", ["channels"], serves=["channels", "subnetworks"], cost="nothing")
class Scaling:
    """A compensation that scales the network that it looks at."""

    leaf: ClassVar[str] = "weight update/least squares"

    def statistics(self, evidence: Evidence) -> dict[str, Any]:
        for parameter in evidence.network.parameters():
            parameter.data.mul_(2.0)
        return {}

    def tensors(self, *_: Any) -> dict[str, torch.Tensor]:
        return {}


class Unmade(Scaling):
    """A compensation that keeps other statistics each time: which class all images are of."""

    turns: ClassVar[Iterator[int]] = itertools.count()

    def statistics(self, evidence: Evidence) -> dict[str, Any]:
        return {"classifier.all": np.array(next(self.turns))}

    def tensors(self, part: Any, unpruned: Any, kept: Any, statistics: Any) -> dict[str, torch.Tensor]:
        bias = {name: tensor.clone() for name, tensor in unpruned.items() if name == "classifier.bias"}
        for tensor in bias.values():
            tensor[int(statistics["classifier.all"])] += 1e6
        return bias


class Whole(Mixed):
    """Says everything of the unpruned network alone."""

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        return NormStatistics(torch.zeros(99), torch.ones(99))


class Negative(Mixed):
    """Subtracts what a variance may lose, and more."""

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        return NormStatistics(sliced.mean, -sliced.variance)


class Drifting(Mixed):
    """Changes the statistics that it is given."""

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        return NormStatistics(sliced.mean.add_(1.0), sliced.variance)


class Undefined(Mixed):
    """Divides nothing by nothing."""

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        return NormStatistics(sliced.mean * float("nan"), sliced.variance)


class Emptying(Density):
    """Zeroes the weights that it looks at."""

    needs = "network"

    def __call__(self, seen: Seen) -> float:
        return float(sum(parameter.data.zero_().sum() for parameter in seen.pruned.parameters()))


class Clockwork(Density):
    """Another number each time."""

    turns: ClassVar[Iterator[int]] = itertools.count(1)

    def __call__(self, seen: Seen) -> float:
        return float(next(self.turns))


class OfTheWhole(Density):
    """Has no number for anything that is pruned."""

    needs = "network"

    def __call__(self, seen: Seen) -> float:
        return 1.0 if seen.pruned.get_parameter("first.0.weight").shape[0] == 6 else math.nan


@about("measurement", ["network"], serves=["channels"], cost="nothing")
class Unitless:
    """Does not say its unit."""

    direction = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        return 1.0


class Aimless(Density):
    """Says a direction that there is not."""

    direction: Any = "smaller"


class Listed(Narrow):
    """Returns genomes without their record."""

    def found(self, inputs: ReferenceInputs) -> Any:
        return [inputs.space.full]


@about("audit", ["channels"], serves=["channels"], cost="nothing")
class Widest:
    """How many units the widest candidate has."""

    def __call__(self, front: ChannelFront) -> Audit:
        most = float(front.widths.sum(axis=1).max())
        return Audit([Finding("widest", most, None, None, alarm=False, sentence="So wide.")])


TestNarrow = conformance("reference", Narrow, genomes=1, **UNEXPORTED)
TestBestUniform = conformance("reference", BestUniform, genomes=1, **UNEXPORTED)
TestMixed = conformance("proxy", Mixed, options={"old": 0.2}, genomes=1, **UNEXPORTED)
TestBrier = conformance("objective", Brier, "weight-ratios", options={"power": 1}, genomes=1, **UNEXPORTED)
TestDensity = conformance("objective", Density, "bit-widths", genomes=1, **UNEXPORTED)
TestShifted = conformance(
    "recovery", Shifted, "weight-ratios", shared={"formats": ["safetensors"]}, pytestmark=UNVERIFIED
)
TestWidest = conformance("audit", Widest)


def rows(problem: Any, genomes: Any = None) -> list[Any]:
    asked = problem.space.full[np.newaxis] if genomes is None else genomes
    return list(problem.evaluate(asked, np.zeros(len(asked), dtype=np.uint64), Split.SEARCH))


def test_a_strangers_reference_stands_beside_the_others_and_says_what_it_has_to_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="emoprune"):
        problem = prepared(channels(references=[{"name": target(Narrow), "above": 1}, "erk"]), tmp_path)
    assert [each.name for each in problem.references()][:2] == ["unpruned", "narrow"]
    assert "references: narrow is narrow" in caplog.text


def test_layers_are_picked_from_what_generation_0_measured_of_them(tmp_path: Path) -> None:
    problem = prepared(weight_ratios(references=["uniform", target(BestUniform)]), tmp_path)
    starts = problem.starts()
    assert len(starts) == 2
    (picked,) = problem.surveyed(starts, np.array([[0.3, 9.0], [0.2, 9.0]]))
    assert picked.name == "best-uniform"
    assert picked.genome.tolist() == starts[1].tolist()
    with pytest.raises(ConfigError, match="picks by how good outputs are, which none of the objectives macs says"):
        WeightRatios(**{**SAMPLE, "objectives": ["macs"], "references": [target(BestUniform)]})


def test_a_criterion_that_does_not_say_what_it_is_ranks_channels_unless_it_says_so_in_the_old_way(
    tmp_path: Path,
) -> None:
    problem = prepared(channels(criterion=target(FirstUnits), references=[target(Narrow)]), tmp_path)
    narrow = problem.references()[1].genome
    assert problem._kept_units(problem._levels.decode(narrow[np.newaxis])[0])[0].tolist() == [0, 1]
    assert subnetworks(criterion=target(FirstUnits))._method.criterion.leaf == FirstUnits.leaf
    for problem in (channels, subnetworks):
        with pytest.raises(ConfigError, match="serves heads-and-neurons, not "):
            problem(criterion=target(OfHeads))


def test_a_strangers_proxy_decides_which_statistics_networks_are_scored_with(tmp_path: Path) -> None:
    found = []
    for number, proxy in enumerate(("none", {"name": target(Mixed), "old": 1.0}, target(Mixed))):
        problem = prepared(channels(proxy=proxy, objectives=["loss"]), tmp_path / str(number))
        found.append(rows(problem, np.zeros((1, len(problem.space)), dtype=np.int64))[0][0])
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[2] != found[0]


def test_strangers_measures_are_called_by_their_names_and_can_be_bounded(tmp_path: Path) -> None:
    problem = prepared(
        channels(
            objectives=[target(Brier), target(Density)],
            at_most={"Brier": 0.95, f"{target(Density)}-share": 2.0, "macs-share": 1.0},
        ),
        tmp_path,
    )
    by_name = {each.name: each for each in problem.objectives}
    assert list(by_name) == ["Brier", "Density", "error", "macs"]
    assert by_name["Density"].direction is Direction.MAXIMISE
    assert by_name["Density"].unit == "1/B"
    names = [(each.name, each.unit) for each in problem.constraints]
    assert names == [("Brier-bound", ""), ("Density-share-bound", "of unpruned"), ("macs-share-bound", "of unpruned")]
    ((brier, density, _, macs, bounded, *shares),) = rows(problem)
    assert 0 < brier == bounded < 2
    assert density == macs / problem._task.counted(np.array([problem._levels.full]))["bytes"]
    assert shares == [1.0, 1.0]


def test_a_measure_that_is_no_finite_number_is_a_failure_and_one_that_sees_too_little_says_what_it_needs(
    tmp_path: Path,
) -> None:
    (row,) = rows(prepared(channels(objectives=[target(Endless)]), tmp_path / "endless"))
    assert row == Failure("Endless is inf")
    problem = prepared(channels(objectives=[target(Blind)]), tmp_path / "blind")
    with pytest.raises(
        ContractError, match="what the unpruned network puts out is seen with `needs = 'outputs of both"
    ):
        rows(problem)


def test_two_measures_of_one_name_are_refused() -> None:
    other = "emoprune.problems.networks.evaluation.objectives.loss:Loss"
    same = f"{Loss.__module__}:Loss"
    assert other != same
    with pytest.raises(ConfigError, match=r"objectives: '.*:Loss' would be called 'Loss', as '.*:Loss' is; rename it"):
        channels(objectives=[other, same])


@UNVERIFIED
def test_what_a_recovery_returns_is_measured_and_zeros_that_do_not_stay_are_refused(tmp_path: Path) -> None:
    problem = prepared(weight_ratios(references=["uniform"]), tmp_path)
    genome = problem.references()[1].genome
    found = problem.recover(genome, tmp_path, 1, method={"name": target(Shifted), "by": 0.0})
    assert found.values["search"]["error"] == rows(problem, genome[np.newaxis])[0][0]
    with pytest.raises(ContractError, match=r"recovery: expected 'second\.0\.weight' with its zeros kept"):
        problem.recover(genome, tmp_path, 1, method={"name": target(Shifted), "ones": True})


RECOVERS = "test_it_writes_and_measures_the_same_from_the_same_seed"
KEEPS = "test_it_keeps_the_promises_of_its_kind_and_leaves_what_it_is_given_alone"
PREPARES = "test_a_row_is_the_same_when_all_is_prepared_anew"
PRUNES = "test_something_else_than_the_unpruned_thing_can_be_measured"
MAKES = "test_its_options_can_be_checked_before_anything_runs"
ROWS = "test_every_legal_genome_gets_a_row_on_every_split"


@pytest.mark.parametrize(
    ("kind", "method", "problem", "check", "complaint"),
    [
        ("saliency", NoNumbers, "weight-ratios", ROWS, "saliency 'NoNumbers': layer 'first.0': expected a finite sc"),
        ("saliency", Unseeded, "weight-ratios", KEEPS, "expected global generators left alone"),
        ("saliency", Unsteady, "weight-ratios", KEEPS, "expected equal scores from equal layers and generators"),
        ("saliency", Overwriting, "weight-ratios", KEEPS, "'Overwriting': .* found 'weight' changed; work on a copy"),
        ("saliency", OfNumpy, "weight-ratios", KEEPS, r"the weight's shape \(6, 4, 3, 3\), found ndarray"),
        ("compensation", Scaling, "channels", ROWS, "compensation: expected what it is given left as it was"),
        ("compensation", Unmade, "channels", PREPARES, "expected the same row when all is prepared anew"),
        ("proxy", Whole, "channels", ROWS, r"proxy: expected the statistics of \d channels, found 99"),
        ("proxy", Negative, "channels", ROWS, "proxy: expected variances of 0 or more, found .* batch norm 'first.1'"),
        ("proxy", Drifting, "channels", KEEPS, "proxy: expected what it is given .* found 'sliced.mean'"),
        ("proxy", Undefined, "channels", KEEPS, "expected finite statistics of finite ones"),
        ("objective", Emptying, "channels", KEEPS, "objective: expected what it is given left as it was"),
        ("objective", Clockwork, "channels", KEEPS, r"objective: expected 1\.0 again of the same network, found 2\.0"),
        ("objective", OfTheWhole, "channels", PRUNES, "expected a pruned genome that is no failure; found .*is nan"),
        ("objective", Unitless, "channels", MAKES, "Unitless': expected the members .*, found none called unit;"),
        ("objective", Aimless, "channels", MAKES, "direction: expected one of minimise, maximise, found 'smaller'"),
        ("reference", Listed, "channels", "test_it_picks_from_what_was_measured", "Listed': expected a Found .* list"),
        ("recovery", Undone, "channels", RECOVERS, r"parameters of the pruned network, '.*' of shape .*, found it of"),
        ("recovery", Undone, "subnetworks", RECOVERS, "expected the parameters of the pruned network"),
        ("recovery", Undone, "weight-ratios", RECOVERS, "with its zeros kept"),
        ("recovery", Wider, "channels", RECOVERS, r"expected the buffers .* 'more' absent, found it of shape \(3,\)"),
        ("recovery", InPlace, "channels", RECOVERS, "expected what it is given left as it was, found 'classifier"),
        ("recovery", Unlearned, "channels", RECOVERS, "found 'classifier.bias' and 1 more changed; work on a copy"),
    ],
)
@UNVERIFIED
def test_a_broken_promise_fails_its_own_check(
    kind: str, method: type, problem: str, check: str, complaint: str
) -> None:
    require_broken(kind, method, problem, check, complaint)


@UNVERIFIED
def test_a_recovery_that_trains_nothing_is_not_called_training(tmp_path: Path) -> None:
    problem = prepared(channels(), tmp_path)
    problem.recover(problem.references()[1].genome, tmp_path, 1, method=target(Shifted), formats=["safetensors"])
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"After pruning it was recovered without training ({target(Shifted)})." in readme


def test_a_strangers_audit_looks_behind_the_front(tmp_path: Path) -> None:
    problem = prepared(channels(), tmp_path)
    found = problem.audit([Candidate(1, problem.space.full, 0, "test")], tmp_path, 1, method=target(Widest))
    assert found.findings[0].value == sum(problem._levels.full)


@pytest.mark.parametrize(
    ("problem", "options", "complaint"),
    [
        ("channels", {"references": ["erc"]}, "references: no reference is called 'erc'; did you mean 'erk'"),
        (
            "channels",
            {"references": [{"name": "erk", "percentage": [3]}]},
            "reference 'erk': percentage: .*percentages",
        ),
        ("subnetworks", {"references": ["sensitivity"]}, "no reference is called 'sensitivity'; .* serves channels"),
        ("subnetworks", {"references": [target(Asking)]}, "Asking' measures the whole network"),
        ("weight-ratios", {"references": ["eagle-eye"]}, "no reference is called 'eagle-eye'.*serves channels"),
        ("bit-widths", {"references": ["uniform", "uniform"]}, "references: expected each once, found 'uniform' again"),
        ("channels", {"criterion": "l3"}, "criterion: no criterion is called 'l3'"),
        ("channels", {"criterion": {"name": "mfac", "damp": 1}}, "criterion 'mfac': damp: .*damping"),
        ("channels", {"compensation": "least-square"}, "compensation: no compensation .* did you mean 'least-squares'"),
        ("weight-ratios", {"proxy": target(Mixed)}, "proxy: .* serves channels, not weight-ratios"),
        ("channels", {"proxy": {"name": target(Mixed), "new": 1}}, "new: unknown option"),
        ("channels", {"objectives": ["columns"]}, "objectives: 'columns' serves features.*, not channels"),
        ("channels", {"objectives": [{"name": target(Brier), "power": "two"}]}, "power: expected an integer"),
        ("channels", {"at_most": {f"{target(Brier)}-share": 1}}, "at_most: no measure is called 'Brier-share'"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_runs(
    problem: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        plugins.find("sample", problem)(**options)


@pytest.mark.parametrize(
    ("ask", "options", "complaint"),
    [
        ("recover", ["method=pray"], "no recovery is called 'pray'"),
        ("recover", ["method=constrained"], "'constrained' serves subnetworks, not channels"),
        ("recover", ["method={name: distil, weigth: 1}"], "weigth: .*'weight'"),
        ("audit", ["method=tuned"], "no audit is called 'tuned'.*did you mean 'fine-tuned'"),
        ("audit", ["method={name: fine-tuned, bands: 0}"], "bands: expected 1 or more, found 0"),
    ],
)
def test_a_method_that_cannot_be_had_is_refused_when_the_options_are_read(
    ask: str, options: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Question.of(getattr(channels(), ask), options)


def test_a_search_with_a_strangers_methods_runs(tmp_path: Path) -> None:
    config = {
        "problem": {
            "name": "channels",
            **SAMPLE,
            "widths": 4,
            "criterion": target(FirstUnits),
            "proxy": target(Mixed),
            "references": [target(Narrow)],
            "objectives": [target(Brier), "macs"],
        },
        "search": {"population": 4, "generations": 1, "seed": 3},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="one")
    for _ in search:
        pass
    assert "narrow" in set(search.run.pareto["name"])
    assert "obj.Brier" in search.run.pareto
