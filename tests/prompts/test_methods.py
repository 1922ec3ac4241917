"""Every method that prompts can ask for keeps its contract, ours and a stranger's; what cannot be used is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from methods_for_tests import prepared
from numpy.typing import NDArray
from prompts_for_tests import Letters

from emoprune import plugins
from emoprune.contracts import Direction, Found, Reference, about, about_of
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.objectives.contract import Seen
from emoprune.problems.prompts.references.contract import ReferenceInputs
from emoprune.problems.prompts.sample import tokens, vocabulary
from emoprune.problems.prompts.words.influence import WordEvidence
from emoprune.problems.prompts.words.references.contract import ReferenceInputs as WordInputs
from emoprune.records import Split
from emoprune.testing import conformance

TOKENS, VOCABULARY = "prompt-tokens", "prompt-vocabulary"


def installed() -> list[tuple[str, str, str]]:
    """Return kind, name and problem of every method of ours that one of the problems can ask for."""
    return [
        (kind, name, problem)
        for problem in (TOKENS, VOCABULARY)
        for kind in plugins.METHOD_KINDS
        for name, entry in plugins.serving(kind, problem).items()
        if ".problems.prompts." in entry.value and plugins.serves(entry.load(), problem)
    ]


# One class for each, which pytest finds.
globals().update(
    {f"Test {name}, {kind} of {problem}": conformance(kind, name, problem, genomes=2)
     for kind, name, problem in installed()}
)  # fmt: skip


@about("pruning", ["tokens"], serves=[TOKENS], cost="a prompt")
@dataclass(frozen=True)
class FirstHalf:
    """Keeps the first tokens.

    Args:
        share: How many.
    """

    share: float = 0.5

    def found(self, inputs: ReferenceInputs) -> Found:
        free = np.flatnonzero(inputs.space.free)
        genome = inputs.space.full.copy()
        genome[free[max(1, round(self.share * len(free))) :]] = 0
        return Found((Reference("first-half", genome),), notes=(f"it is worth {inputs.worth(genome, 0.0)}",))


@about("pruning", ["words"], serves=[VOCABULARY], cost="nothing")
@dataclass(frozen=True)
class EachAlone:
    """Has one prompt for each of the words, in the last slot."""

    starts: bool = False

    def found(self, inputs: WordInputs) -> Found:
        assert inputs.influence.tolist() == sorted(inputs.influence.tolist(), reverse=True)
        if self.starts:
            return Found(starts={"none": np.zeros((1, len(inputs.space)), dtype=np.int64)})
        alone = [inputs.with_words(np.array([place]))[::-1] for place in range(len(inputs.words))]
        return Found(tuple(Reference(f"only-{word}", own) for word, own in zip(inputs.words, alone, strict=True)))


@about("measurement", ["tokens"], serves=[TOKENS, VOCABULARY], cost="nothing")
class Certainty:
    """How probable the likelier answer is, on average."""

    unit = ""
    direction = Direction.MAXIMISE
    best, worst = 1.0, 0.5
    needs = "choices"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        return np.exp(seen.answers.log_probabilities).max(axis=1)


@about("measurement", ["tokens"], serves=[TOKENS, VOCABULARY], cost="nothing")
class Agreement:
    """How much more often one answer is given than the other."""

    unit = ""
    direction = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        chosen = seen.answers.log_probabilities.argmax(axis=1)
        return float(abs((chosen == 0).mean() - (chosen == 1).mean()))


@about("pruning", ["words"], serves=[VOCABULARY], cost="nothing")
@dataclass(frozen=True)
class Longest:
    """Keeps long words."""

    measures: ClassVar[bool] = False
    wrong: bool = False

    def __call__(self, evidence: WordEvidence) -> NDArray[np.float64]:
        return np.array([float(len(word)) for word in evidence.words[int(self.wrong) :]])


TestFirstHalf = conformance("reference", FirstHalf, genomes=2)
TestEachAlone = conformance("reference", EachAlone, genomes=2)
TestLetters = conformance("objective", Letters, genomes=2)
TestCertainty = conformance("objective", Certainty, VOCABULARY, genomes=2)
TestAgreement = conformance("objective", Agreement, genomes=2)
TestLongest = conformance("criterion", Longest, genomes=2)


def row(problem: Any, genome: Any) -> list[float]:
    return list(problem.evaluate(np.array(genome)[None], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0])


def test_methods_of_ours_are_there_and_say_what_they_are() -> None:
    kinds = [kind for kind, _, _ in installed()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"reference": 7, "objective": 14, "criterion": 3}
    for name in (TOKENS, VOCABULARY):
        assert about_of(plugins.find("problem", name)) is not None


def test_a_strangers_reference_measures_prompts_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="emoprune")
    given = {"name": f"{__name__}:FirstHalf", "share": 0.4}
    problem = prepared(tokens(references=[given, "random"]), tmp_path)
    genomes = {reference.name: reference.genome for reference in problem.references()}
    assert problem.describe(genomes["first-half"])["prompt"] == "the cat sees{sentence}"
    assert genomes["random-as-first-half"].sum() == genomes["first-half"].sum()
    assert problem.evaluations_of_references[f"{__name__}:FirstHalf"] == 1
    assert any(message.startswith("references: it is worth 0.") for message in caplog.messages)


def test_a_strangers_reference_of_words_is_the_prompt_that_stands_for_it(tmp_path: Path) -> None:
    problem = prepared(vocabulary(references=[f"{__name__}:EachAlone"]), tmp_path)
    assert problem.references()[0].name == "empty"
    for level, reference in enumerate(problem.references()[1:], start=1):
        assert reference.genome.tolist() == [level, 0]
        assert problem.describe(reference.genome)["words"] == reference.name.removeprefix("only-")


def test_words_that_want_to_be_measured_first_are_refused(tmp_path: Path) -> None:
    problem = vocabulary(references=[{"name": f"{__name__}:EachAlone", "starts": True}])
    with pytest.raises(ContractError, match="EachAlone': expected no starts, found some; nothing but the words'"):
        problem.prepare(tmp_path, 1)


def test_a_strangers_measures_are_objectives_and_bounds_beside_ours(tmp_path: Path) -> None:
    given = [f"{__name__}:{name}" for name in ("Letters", "Certainty", "Agreement")]
    own = {"objectives": ["accuracy", *given], "at_most": {given[0]: 30.0}, "at_least": {"Certainty": 0.5}}
    problem = prepared(tokens(**own), tmp_path)
    assert [each.name for each in problem.objectives] == ["accuracy", "Letters", "Certainty", "Agreement"]
    assert [each.name for each in problem.constraints] == ["Letters-bound", "Certainty-floor"]
    accuracy, letters, certainty, agreement, *bounded = row(problem, problem.space.full)
    assert letters == len("the cat sees a dog red {sentence} is")
    assert 0 <= agreement <= 1
    assert 0.5 <= certainty <= 1
    assert 0 <= accuracy <= 1
    assert bounded == [letters, certainty]


def test_no_prompt_is_given_up_for_a_reference_where_a_measure_is_known_only_at_the_end(tmp_path: Path) -> None:
    rows = []
    for stop_early in (True, False):
        own = {
            "objectives": [f"{__name__}:Agreement", "tokens"],
            "search_examples": None,
            "blocks": None,
            "stop_early": stop_early,
        }
        (tmp_path / str(stop_early)).mkdir()
        problem = prepared(tokens(**own, references=["threshold-accepting", "random"]), tmp_path / str(stop_early))
        genomes = np.tile(problem.space.full, (len(problem.space), 1)) - np.eye(len(problem.space), dtype=np.int64)
        rows.append([row(problem, genome) for genome in genomes[problem.space.free]])
    assert rows[0] == rows[1]


def test_a_strangers_criterion_says_which_words_are_kept(tmp_path: Path) -> None:
    problem = vocabulary(words=["a", "cat", "house", "finds"], influence=f"{__name__}:Longest", percentile=50)
    prepared(problem, tmp_path)
    assert problem.evaluations_of_references == {"influence": 0}
    assert problem.describe(np.array([1, 2]))["words"] == "house finds"


def test_a_criterion_that_ranks_other_words_is_refused(tmp_path: Path) -> None:
    problem = vocabulary(influence={"name": f"{__name__}:Longest", "wrong": True})
    with pytest.raises(ContractError, match="influence: expected 8 finite numbers, one per word, found"):
        problem.prepare(tmp_path, 1)


@pytest.mark.parametrize(
    ("made", "given", "complaint"),
    [
        (tokens, {"references": ["perplexty"]}, "references: no reference is called 'perplexty'; did you mean 'perpl"),
        (tokens, {"references": ["random", "random"]}, "references: expected each once, found 'random' again"),
        (tokens, {"references": [{"name": "hill-climbing", "runs": 2}]}, "runs: unknown option of reference"),
        (tokens, {"references": [{"name": "accepting-in-runs", "runs": 0}]}, "runs: expected 1 or more, found 0"),
        (tokens, {"references": [{"name": "threshold-accepting", "threshold": 0}]}, "expected a share above 0 and at"),
        (tokens, {"references": [f"{__name__}:Nothing"]}, "has no class or function 'Nothing'"),
        (tokens, {"objectives": [f"{__name__}:Longest"]}, f"serves {VOCABULARY}, not {TOKENS}"),
        (vocabulary, {"references": ["perplexity"]}, f"'perplexity' serves {TOKENS}, not {VOCABULARY}"),
        (vocabulary, {"references": [{"name": "random", "count": 0}]}, "count: expected 1 or more, found 0"),
        (vocabulary, {"influence": "luck"}, "influence: no criterion is called 'luck'"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_runs(made: Any, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        made(**given)
