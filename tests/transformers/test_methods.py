"""Every method of transformers keeps the promises of its kind, and a stranger's is as good as a built-in one."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from methods_for_tests import copied, require_broken

from emoprune import plugins
from emoprune.contracts import (
    Audit,
    Direction,
    Finding,
    Found,
    MeasuredErrors,
    Reference,
    Starts,
    about,
    about_of,
)
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.layers.saliencies.contract import ScoredLayer
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.contract import TransformerFront
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.criteria.samples import sample_evidences
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.measures import SeenTransformer
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.repair.contract import RepairInputs
from emoprune.problems.networks.transformers.sample import heads_and_neurons, transformer_weight_ratios
from emoprune.records import Candidate, Split
from emoprune.testing import conformance

HEADS, RATIOS, BITS = PROBLEMS = "heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"
# Exports are checked with the problems: each loads what was written in a fresh process.
PART = {"genomes": 1, "test_an_export_writes_files_and_leaves_the_problem_as_it_was": None}
DRAWN: Mapping[str, Mapping[str, Any]] = {"k-prune": {"blind": True, "ordered": True}, "random": {"blind": True}}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "recovery": {"shared": {"epochs": 0.1}, "pytestmark": pytest.mark.usefixtures("unverified")},
    "audit": {},
}


def methods_of(kind: str, problem: str) -> list[str]:
    """Return the installed methods of a kind that serve a problem."""
    return [
        name for name in plugins.serving(kind, problem) if plugins.serves(plugins.find(kind, name, problem), problem)
    ]


METHODS = [
    (kind, name, problem)
    for problem in PROBLEMS
    for kind in plugins.METHOD_KINDS
    for name in methods_of(kind, problem)
    # By a clock, so another number each time, or by a library that need not be there; they have tests of their own.
    if not name.startswith(("milliseconds", "lm-eval")) and kind != "architecture"  # tried once, not for each problem
]

# Each method is tried on each problem that it serves, so one that is added is covered by being installed.
for _kind, _name, _problem in METHODS:
    _members = {"sample": classmethod(copied), **OTHERS.get(_kind, PART), **DRAWN.get(_name, {})}
    globals()[f"Test {_kind} {_name} of {_problem}"] = conformance(_kind, _name, _problem, **_members)


@pytest.mark.parametrize(
    ("problem", "kinds"),
    [
        (HEADS, {"criterion", "compensation", "reference", "objective", "recovery", "mask", "audit"}),
        (RATIOS, {"saliency", "compensation", "reference", "objective", "recovery", "mask"}),
        (BITS, {"reference", "objective"}),
    ],
)
def test_a_problem_finds_methods_of_every_kind_that_it_asks_for(problem: str, kinds: set[str]) -> None:
    assert {kind for kind, _, served in METHODS if served == problem} == kinds


@pytest.mark.parametrize("name", methods_of("criterion", HEADS))
def test_a_criterion_says_truly_whether_it_needs_gradients(name: str) -> None:
    criterion = plugins.method("criterion", name, HEADS)
    own = about_of(criterion)
    assert own is not None
    with torch.inference_mode():  # where there are none
        evidence = sample_evidences()[0]
        if own.gradients:
            with pytest.raises(RuntimeError, match=r"inference|grad"):
                criterion(evidence)
        else:
            criterion(evidence)


@about("pruning", ["heads", "neurons"], serves=[HEADS], cost="nothing is run")
class Forwards:
    """Ranks units by their place."""

    leaf: ClassVar[str] = "control/random"

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        return [np.arange(units, 0, -1, dtype=np.float64) for units in evidence.structure.units]


@about("pruning", ["heads", "neurons"], serves=[HEADS], cost="some genomes to be measured")
@dataclass(frozen=True)
class BestOf:
    """Picks the best of some random genomes.

    Args:
        count: How many.
    """

    count: int = 3

    def found(self, inputs: ReferenceInputs) -> Found:
        units = np.array(inputs.layout.anatomy.units)
        counts = inputs.rng.integers(1, units, size=(self.count, len(units)), endpoint=True)
        return Found(starts={"drawn": np.stack([inputs.layout.encode(own, inputs.orders) for own in counts.tolist()])})

    def picked(self, inputs: ReferenceInputs, starts: Starts, measured: MeasuredErrors) -> Found:
        return Found((Reference("best", starts["drawn"][int(np.argmin(measured(starts["drawn"])))]),))


@about("pruning", ["weights"], serves=[RATIOS], cost="nothing is run")
@dataclass(frozen=True)
class Powered:
    """Scores weights by a power of their size.

    Args:
        power: Which.
    """

    power: float = 2.0

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return layer.weight.abs() ** self.power


@about("pruning", ["heads"], serves=[HEADS], cost="nothing is run")
@dataclass(frozen=True)
class Louder:
    """Multiplies what the heads that stay put out.

    Args:
        by: What with.
        path: Of the weight, in place of the output projection's.
    """

    by: float = 2.0
    path: str = ""

    def __call__(self, inputs: RepairInputs) -> Adjust:
        name = self.path or f"{inputs.evidence.structure.blocks[0].attention.output}.weight"

        def louder(_number: int, _plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            own = tensors.get(name, torch.ones(1))
            return {name: self.by * own} if name in tensors or self.path else {}

        return louder


@about("measurement", ["network"], serves=[HEADS, RATIOS], cost="one pass over the batches")
class Hesitation:
    """Mean entropy of the outputs in nats."""

    unit = "nats"
    direction = Direction.MINIMISE
    needs: ClassVar[str] = "network"
    shares: ClassVar[bool] = True

    def __call__(self, seen: SeenTransformer) -> float:
        with torch.no_grad():
            outputs = torch.cat([seen.task.outputs(seen.network, batch) for batch in seen.batches]).double()
        return float(torch.distributions.Categorical(logits=outputs).entropy().mean())


@about("measurement", ["network"], serves=[HEADS, RATIOS], cost="one pass over the batches")
class Right(Hesitation):
    """Share of tokens that are foretold."""

    unit = ""
    direction = Direction.MAXIMISE
    quality: ClassVar[bool] = True

    def __call__(self, seen: SeenTransformer) -> float:
        right = torch.cat([self._right(seen, batch.inputs["input_ids"], batch) for batch in seen.batches])
        return float(right.double().mean())

    def _right(self, seen: SeenTransformer, ids: torch.Tensor, batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            return seen.task.outputs(seen.network, batch)[:, :-1].argmax(dim=-1) == ids[:, 1:]


@about("recovery", ["weights"], serves=[HEADS, RATIOS], cost="nothing is run")
@dataclass(frozen=True)
class Shrunken:
    """Makes all weights smaller.

    Args:
        factor: By which.
    """

    factor: float = 0.5

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        model = case.model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(self.factor)
        return RecoveredModel(model, case.plans)


@about("recovery", ["weights"], serves=[HEADS, RATIOS], cost="nothing is run")
class Undone:
    """The unpruned model."""

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        return RecoveredModel(copy.deepcopy(case.opened.task.model), case.plans)


class NoNumbers(Powered):
    """Has no number for any weight."""

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        return layer.weight * float("nan")


class Emptying(Hesitation):
    """Zeroes the weights that it looks at."""

    def __call__(self, seen: SeenTransformer) -> float:
        return float(sum(parameter.data.zero_().sum() for parameter in seen.pruned.parameters()))


class Scaling(Louder):
    """Scales the model that it looks at."""

    def __call__(self, inputs: RepairInputs) -> Adjust:
        for parameter in inputs.evidence.model.parameters():
            parameter.data.mul_(2.0)
        return super().__call__(inputs)


class WhollyUndone(Undone):
    """The unpruned model, and says so."""

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        whole = [case.opened.anatomy.whole(number) for number in range(len(case.plans))]
        return RecoveredModel(copy.deepcopy(case.opened.task.model), whole)


class Unlearned(Undone):
    """Changes the unpruned model."""

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        model = case.model()
        next(iter(case.opened.task.model.parameters())).data.add_(0.1)
        return RecoveredModel(model, case.plans)


@about("audit", ["heads"], serves=[HEADS], cost="nothing is run")
class Counted:
    """Counts the heads that are left."""

    def __call__(self, front: TransformerFront) -> Audit:
        heads = sum(len(plan.heads) for plans in front.plans.values() for plan in plans)
        return Audit([Finding("heads", heads, None, None, alarm=False, sentence="So many.")])


@pytest.fixture
def _strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the classes of this file be imported as a stranger's module."""
    monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])


@pytest.mark.usefixtures("_strangers")
def test_a_stranger_s_criterion_reference_and_objective_are_measured_as_built_in_ones_are(tmp_path: Path) -> None:
    problem = heads_and_neurons(
        criterion="mine:Forwards",
        references=["uniform", {"name": "mine:BestOf", "count": 4}],
        objectives=["perplexity", "mine:Hesitation"],
        at_most={"mine:Hesitation-share": 1.5, "milliseconds-share": 50.0},
    )
    assert [own.name for own in problem.objectives] == ["perplexity", "Hesitation"]
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    genomes = np.concatenate([[own.genome for own in problem.references()], problem.starts()])
    rows = problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SEARCH)
    measured = np.array(rows)
    assert measured[0, 2] == 1.0
    (best,) = problem.surveyed(genomes, measured)
    assert best.name == "best"
    place = int(measured[-4:, 0].argmin())
    assert np.array_equal(best.genome, problem.starts()[place])
    heads = problem.plans(genomes[1])[0].heads
    assert np.array_equal(heads, np.arange(len(heads)))


def halved(problem: HeadsAndNeurons, folder: Path) -> tuple[Any, torch.Tensor]:
    """Return what is measured with half of all heads, and the first layer's output projection."""
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    (genome,) = [own.genome for own in problem.references() if own.name == "uniform-50"]
    plan = problem.plans(genome)[0]
    name = f"{problem.open().anatomy.blocks[0].attention.output}.weight"
    weight = problem.loaded.narrower.block(0, plan).get_parameter(name)
    return problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0], weight


@pytest.mark.usefixtures("_strangers")
def test_a_stranger_s_repair_changes_what_is_measured(tmp_path: Path) -> None:
    plain, sliced = halved(heads_and_neurons(repair="none"), tmp_path / "none")
    fitted, _ = halved(heads_and_neurons(), tmp_path / "fitted")
    same, _ = halved(heads_and_neurons(repair={"name": "mine:Louder", "by": 1.0}), tmp_path / "same")
    loud, doubled = halved(heads_and_neurons(repair="mine:Louder"), tmp_path / "loud")
    assert same == plain
    assert torch.equal(doubled, 2 * sliced)
    assert len({plain[0], fitted[0], loud[0]}) == 3


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "input_layernorm.weight",
            r"repair: layer 0: input_layernorm\.weight: expected the shape \(32,\), found \(1,\)",
        ),
        ("mlp.down", r"repair: layer 0: expected tensors of .*mlp\.down_proj\.weight.*, found 'mlp\.down'"),
    ],
)
@pytest.mark.usefixtures("_strangers")
def test_a_repair_whose_tensors_are_none_of_the_layer_s_is_refused(name: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=complaint):
        halved(heads_and_neurons(repair={"name": "mine:Louder", "path": name}), tmp_path)


@pytest.mark.usefixtures("_strangers", "unverified")
def test_a_stranger_s_saliency_and_recovery_serve_single_weights(tmp_path: Path) -> None:
    problem = transformer_weight_ratios(
        saliency={"name": "mine:Powered", "power": 0.5},
        objectives=["parameters", "mine:Hesitation"],
        at_most={"mine:Hesitation-share": 1.5},
    )
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    assert problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0][2] == 1.0
    plain = transformer_weight_ratios(saliency="magnitude")
    assert all(torch.equal(ranks, plain.ranks()[path]) for path, ranks in problem.ranks().items())
    assert not (tmp_path / "kept" / "norms.safetensors").exists()
    (tmp_path / "out").mkdir()
    answer = problem.recover(
        problem.references()[1].genome, tmp_path / "out", 1, method={"name": "mine:Shrunken", "factor": 0.9}
    )
    assert answer.description["method"] == "mine:Shrunken"
    assert set(answer.values["test"]) == {"parameters", "Hesitation"}


RECOVERS = "test_it_writes_and_measures_the_same_from_the_same_seed"
KEEPS = "test_it_keeps_the_promises_of_its_kind_and_leaves_what_it_is_given_alone"
ROWS = "test_every_legal_genome_gets_a_row_on_every_split"


@pytest.mark.parametrize(
    ("kind", "method", "problem", "check", "complaint"),
    [
        ("saliency", NoNumbers, RATIOS, ROWS, "saliency 'NoNumbers': layer '.*': expected a finite score"),
        ("saliency", NoNumbers, RATIOS, KEEPS, "expected a finite score in 32 bits for each weight"),
        ("compensation", Scaling, HEADS, ROWS, "compensation: expected what it is given left as it was"),
        ("objective", Emptying, HEADS, KEEPS, "objective: expected what it is given left as it was"),
        ("recovery", Undone, HEADS, RECOVERS, r"parameters of the pruned network, '.*' of shape .*, found it of shape"),
        ("recovery", WhollyUndone, HEADS, RECOVERS, "plans that keep as many heads and neurons of each layer as"),
        ("recovery", Undone, RATIOS, RECOVERS, "with its zeros kept"),
        ("recovery", Unlearned, HEADS, RECOVERS, "recovery: expected what it is given left as it was, found '.*' chan"),
    ],
)
@pytest.mark.usefixtures("_strangers", "unverified")
def test_a_broken_promise_fails_its_own_check(
    kind: str, method: type, problem: str, check: str, complaint: str
) -> None:
    require_broken(kind, method, problem, check, complaint)


@pytest.mark.usefixtures("_strangers")
def test_a_stranger_s_audit_is_given_the_front(tmp_path: Path) -> None:
    problem = heads_and_neurons()
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    candidates = [Candidate(number, problem.space.full, 0, "random") for number in range(2)]
    (finding,) = problem.audit(candidates, tmp_path, 1, method="mine:Counted").findings
    assert finding.value == 2 * sum(problem.open().anatomy.units[::2])


@pytest.mark.usefixtures("_strangers")
def test_a_stranger_s_quality_is_what_references_are_picked_and_fronts_audited_by(tmp_path: Path) -> None:
    found = {}
    for name in ("error", "mine:Right"):
        problem = heads_and_neurons(references=["mine:BestOf"], objectives=["parameters", name])
        problem.prepare(tmp_path / name.replace(":", "-"), 1)
        problem.setup("cpu", 1)
        genomes = problem.starts()
        rows = np.array(problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SEARCH))
        (best,) = problem.surveyed(genomes, rows)
        candidates = [Candidate(number, genome, 0, "random") for number, genome in enumerate(genomes)]
        audit = problem.audit(candidates, tmp_path, 1, method="samples-and-domains", families=True)
        found[name] = (rows[:, 1], best.genome.tolist(), audit)
    (errors, one, of_error), (shares, other, of_right) = found.values()
    assert shares == pytest.approx(1 - errors)
    assert np.ptp(shares) > 0
    assert one == other == genomes[int(shares.argmax())].tolist()
    tau = next(each for each in of_right.findings if each.name == "Kendall tau of Right, search to test")
    assert tau.value == next(each.value for each in of_error.findings if each.name.startswith("Kendall tau of error"))
    beaten = [[each.value for each in own.findings if each.name.startswith("beaten")] for own in (of_error, of_right)]
    assert beaten[0] == beaten[1]
    assert any("a higher Right than" in each.sentence for each in of_right.findings)
    title = "families at their real bytes"
    for row, mirrored in zip(of_error.tables[title], of_right.tables[title], strict=True):
        assert mirrored["Right on test"] == pytest.approx(1 - row["error on test"], abs=2e-5)
    kept = next(row for row in of_right.tables["other data"] if row["number"] == 1)
    assert "Right on its own test part" in kept


@pytest.mark.usefixtures("_strangers")
def test_a_reference_that_picks_by_quality_needs_an_objective_that_says_it() -> None:
    with pytest.raises(ConfigError, match="'mine:BestOf' picks by how good outputs are, which none of the objectives"):
        heads_and_neurons(references=["mine:BestOf"], objectives=["parameters", "mine:Hesitation"])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"references": ["unifrom"]}, "references: no reference is called 'unifrom'; did you mean 'uniform'"),
        ({"references": ["erk"]}, "references: no reference is called 'erk'.*one of that name serves"),
        ({"references": [{"name": "uniform", "share": 0.5}]}, "reference 'uniform': share: unknown option"),
        ({"criterion": {"name": "heapr", "by_trafic": True}}, "did you mean 'by_traffic'"),
        ({"repair": "least-square"}, "repair: no compensation is called 'least-square'; did you mean 'least-squares'"),
        ({"repair": "merge"}, "repair: 'merge' serves channels, subnetworks, not heads-and-neurons"),
        ({"repair": {"name": "least-squares", "rigde": 1}}, "compensation 'least-squares': rigde: .* mean 'ridge'"),
        ({"repair": {"name": "least-squares", "ridge": 0.0}}, "ridge: expected a positive number, found 0"),
        ({"objectives": ["perplexity", "columns"]}, "objectives: 'columns' serves .*, not heads-and-neurons"),
        ({"objectives": [{"name": "loss", "base": 2}]}, "objective 'loss': base: unknown option"),
        ({"objectives": ["nowhere:Measure"]}, "objectives: cannot import 'nowhere'"),
    ],
)
def test_a_method_that_cannot_be_used_is_refused_before_anything_runs(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        heads_and_neurons(**options)


@about("pruning", ["heads"], serves=[HEADS], cost="nothing is run")
class Outside:
    """Picks a genome that there is not."""

    def found(self, inputs: ReferenceInputs) -> Found:
        return Found((Reference("outside", inputs.space.full + 1),))


@pytest.mark.usefixtures("_strangers")
def test_a_reference_that_picks_what_is_no_genome_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="reference 'outside'"):
        heads_and_neurons(references=["mine:Outside"]).prepare(tmp_path, 1)
