"""Prompts of influential words: the vocabulary that is left, its promises as a problem, searches in it."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from language_for_tests import WORDS, tokenizer
from prompts_for_tests import VERBALISERS
from strangers_for_tests import altered

import emoprune
from emoprune.commands.export import export
from emoprune.contracts import Problem
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.language.loading import language_model, tokenizer_of
from emoprune.problems.prompts.vocabulary import PromptVocabulary
from emoprune.problems.prompts.words.influence import Divergence, RandomWords, Reward, WordEvidence, most_influential
from emoprune.problems.prompts.words.whole import clustered, given_words, whole_words
from emoprune.records import Split
from emoprune.testing import ProblemConformance

PROMPT = "{words} the {sentence} is"


def vocabulary(model: Path, examples: dict[str, str], **more: Any) -> PromptVocabulary:
    options: dict[str, Any] = {"prompt": PROMPT, "verbalisers": VERBALISERS, "slots": 3, "percentile": 50, **more}
    return PromptVocabulary(model=str(model), examples=examples, **options)


class TestPromptVocabulary(ProblemConformance):
    genomes = 6

    @pytest.fixture(autouse=True)
    def _made(self, model: Path, examples: dict[str, str]) -> None:
        self.model, self.examples = model, examples

    def problem(self) -> Problem:
        return vocabulary(self.model, self.examples)


def test_words_are_tokens_that_begin_one_and_are_no_special_ones() -> None:
    assert list(whole_words(tokenizer())) == list(WORDS)


def test_words_of_a_byte_level_tokenizer_stand_behind_a_space() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<|end|>", "c", "a", "t", "\u0120", "\u0120c", "\u0120ca", "\u0120cat", "at"]
    merges = [("\u0120", "c"), ("\u0120c", "a"), ("\u0120ca", "t"), ("a", "t")]
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    assert whole_words(PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")) == {  # noqa: S106  # a token of text
        "c": 5,
        "ca": 6,
        "cat": 7,
    }


def test_one_word_stands_for_each_cluster_and_it_is_the_nearest_to_its_centre() -> None:
    words = ["a", "b", "c", "d", "e"]
    embeddings = np.array([[0.0, 0], [0.1, 0], [0.4, 0], [9, 9], [9.2, 9]])
    assert clustered(words, embeddings, 2) in (["b", "d"], ["b", "e"])
    assert clustered(words, embeddings, 9) == words


def test_influence_is_what_a_word_changes_worked_out_by_hand() -> None:
    def logits(*share: float) -> np.ndarray[Any, Any]:
        return np.array([[math.log(each), math.log(1 - each)] for each in share]) + 3.0

    def of_each(influence: Any) -> Any:
        return np.array([influence(logits(0.9, 0.5), logits(0.6, 0.5))])

    evidence = WordEvidence(("word",), np.array([0, 1]), of_each, np.random.default_rng(1))
    assert Reward()(evidence) == pytest.approx(math.log(0.9 / 0.6))
    assert Divergence()(evidence) == pytest.approx(0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4))
    assert RandomWords()(evidence) == np.random.default_rng(1).random(1)


def test_what_lies_above_the_percentile_is_kept_the_most_influential_first() -> None:
    assert most_influential(np.array([1.0, 5.0, 3.0, 2.0]), 50).tolist() == [1, 2]
    assert most_influential(np.array([0.0, 0.0, 0.0]), 90).tolist() == [0, 1, 2], "all alike: none is better"
    assert most_influential(np.array([0.0, 2.0, 2.0]), 90).tolist() == [1, 2], "the highest are alike"


def test_the_vocabulary_is_pruned_once_and_kept(model: Path, examples: dict[str, str], tmp_path: Path) -> None:
    problem = vocabulary(model, examples, clusters=12, percentile=75)
    problem.prepare(tmp_path, 1)
    kept = json.loads((tmp_path / "vocabulary.json").read_text())
    measured = (tmp_path / "influence.jsonl").read_text().splitlines()
    assert len(measured) <= 12
    assert kept["measured"] == len(measured) + 1
    assert 1 <= len(kept["words"]) <= 3
    assert kept["influence"] == sorted(kept["influence"], reverse=True)
    assert problem.space.levels.tolist() == [len(kept["words"]) + 1] * 3
    (tmp_path / "influence.jsonl").unlink()
    vocabulary(model, examples, clusters=12, percentile=75).prepare(tmp_path, 1)
    assert not (tmp_path / "influence.jsonl").exists()


def test_influence_is_that_of_the_word_in_the_prompt(model: Path, examples: dict[str, str], tmp_path: Path) -> None:
    problem = vocabulary(model, examples, words=["old", "new", "big", "small"], percentile=0)
    problem.prepare(tmp_path, 1)
    loaded = language_model(str(model))
    read = [line.split("\t") for line in Path(examples["search"]).read_text().splitlines()[1:]]

    def surprise(word: str) -> float:
        total = 0.0
        for sentence, label in read:
            ids = loaded.tokenizer(PROMPT.format(words=word, sentence=sentence), return_tensors="pt")
            both = loaded.model(**ids).logits[0, -1, [17, 18]].double().log_softmax(dim=0)
            total -= float(both[0 if label == "one" else 1])
        return total

    known = dict(json.loads(line) for line in (tmp_path / "influence.jsonl").read_text().splitlines())
    assert known["old"] == pytest.approx(surprise("") - surprise("old"), abs=1e-4)


def test_which_slots_are_empty_says_nothing(model: Path, examples: dict[str, str], tmp_path: Path) -> None:
    problem = vocabulary(model, examples)
    problem.prepare(tmp_path, 1)
    assert problem.canonical(np.array([[0, 2, 1], [0, 0, 3], [1, 2, 3]])).tolist() == [[2, 1, 0], [3, 0, 0], [1, 2, 3]]
    described = problem.describe(np.array([2, 1, 0]))
    words = json.loads((tmp_path / "vocabulary.json").read_text())["words"]
    assert described["words"] == f"{words[1]} {words[0]}"
    assert described["prompt"] == f"{words[1]} {words[0]} the {{sentence}} is"


def test_the_random_reference_is_drawn_from_the_seed_of_the_run(
    model: Path, examples: dict[str, str], tmp_path: Path
) -> None:
    def drawn(seed: int) -> list[int]:
        problem = vocabulary(model, examples, slots=8, words=["old", "new", "big", "small"], percentile=0)
        problem.prepare(tmp_path, seed)
        genomes = {each.name: each.genome.tolist() for each in problem.references()}
        return genomes["random"]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_more_random_prompts_come_after_the_first_which_stays(
    model: Path, examples: dict[str, str], tmp_path: Path
) -> None:
    def drawn(*references: Any) -> dict[str, list[int]]:
        problem = vocabulary(model, examples, references=list(references))
        problem.prepare(tmp_path, 1)
        return {each.name: each.genome.tolist() for each in problem.references()}

    one, three = drawn("most-influential", "random"), drawn({"name": "random", "count": 3})
    assert list(one) == ["empty", "most-influential", "random"]
    assert list(three) == ["empty", "random", "random-2", "random-3"]
    assert three["random"] == one["random"]
    assert all(0 not in three[name] for name in list(three)[1:])


def test_with_fewer_words_than_slots_the_most_influential_are_all_there_are(
    model: Path, examples: dict[str, str], tmp_path: Path
) -> None:
    problem = vocabulary(model, examples, words=["old", "new", "big"], percentile=0)
    problem.prepare(tmp_path, 1)
    assert len(problem._words) == 2
    assert problem.references()[1].genome.tolist() == [1, 2, 0]


def test_a_run_from_before_there_were_named_references_goes_on(
    model: Path, examples: dict[str, str], tmp_path: Path
) -> None:
    problem = {"name": "prompt-vocabulary", "model": str(model), "prompt": PROMPT, "verbalisers": VERBALISERS}
    config = {
        "problem": {**problem, "examples": examples, "percentile": 40, "search_examples": 8, "accept_guessing": True},
        "search": {"population": 4, "generations": 2, "seed": 1},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="words")
    for _ in search:
        search.stop()
    path = search.run.path / "config.resolved.json"
    plain = json.loads(path.read_text())
    assert plain["problem"].pop("references") == ["most-influential", "random"]
    altered(path, problem=plain["problem"])
    resumed = emoprune.resume(search.run.path)
    list(resumed)
    assert resumed.run.progress.state.value == "finished"
    assert {"empty", "most-influential", "random"} <= set(resumed.run.pareto["name"])


def test_the_control_keeps_as_many_words_at_random_without_measuring(
    model: Path, examples: dict[str, str], tmp_path: Path
) -> None:
    problem = vocabulary(model, examples, influence="random", clusters=None)
    problem.prepare(tmp_path, 1)
    assert problem.evaluations_of_references == {"influence": 0}
    assert len(json.loads((tmp_path / "vocabulary.json").read_text())["words"]) == len(WORDS) // 2


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"prompt": "the {sentence} is"}, r"expected \{words\} once, found it 0 times"),
        ({"prompt": "{words} {words} {sentence} is"}, r"expected \{words\} once, found it 2 times"),
        ({"prompt": "{words} is"}, r"expected a placeholder for the input, such as \{sentence\}, found none"),
        ({"slots": 0}, "slots: expected 1 or more, found 0"),
        ({"percentile": 100}, "percentile: expected 0 or more and less than 100, found 100"),
        ({"clusters": 1}, "clusters: expected 2 or more, found 1"),
        ({"words": ["one"]}, "words: expected two or more, found 1"),
        ({"words": "none.txt"}, r"words: there is no file 'none\.txt'"),
    ],
)
def test_what_cannot_be_used_is_refused(
    model: Path, examples: dict[str, str], more: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        vocabulary(model, examples, **more)


def test_words_are_read_from_a_file_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("old\n\nnew \nold\n")
    assert given_words("words.txt") == ["old", "new"]


def test_an_endpoint_needs_words(examples: dict[str, str]) -> None:
    from emoprune.problems.prompts.scorers.calling import Endpoint

    with pytest.raises(ConfigError, match="an endpoint does not say which words its model knows; give some"):
        PromptVocabulary(prompt=PROMPT, endpoint=Endpoint("http://x", "m"), examples=examples, verbalisers=VERBALISERS)


def test_the_space_is_known_once_the_vocabulary_is(model: Path, examples: dict[str, str]) -> None:
    with pytest.raises(ContractError, match=r"not pruned yet; call prepare\(folder, seed\) first"):
        _ = vocabulary(model, examples).space
    assert vocabulary(model, examples).inspect().summary["words"] == len(WORDS)
    assert tokenizer_of(str(model)).vocab_size == 28


def test_what_measuring_words_takes_is_said_before_and_on_the_way(
    model: Path, examples: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="emoprune")
    problem = vocabulary(model, examples, clusters=12)
    (note,) = problem.inspect().notes
    assert "the influence of at most 12 words is measured, each on the 16 examples of the search part" in note
    problem.prepare(tmp_path, 1)
    assert f"reducing {len(WORDS)} whole words of the model to 12 clusters" in caplog.messages
    many = [f"{one} {other}" for one, other in product(WORDS, WORDS)][:250]
    problem = vocabulary(model, examples, words=many, search_examples=2)
    (tmp_path / "given").mkdir()
    problem.prepare(tmp_path / "given", 1)
    assert caplog.messages[-3:] == [
        "measuring the influence of 250 words, each on 2 examples",
        "measured the influence of 100 of 250 words",
        "measured the influence of 200 of 250 words",
    ]


@pytest.fixture(scope="module")
def surprises(
    model: Path, examples: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the cross-entropies of prompts drawn from all that there are."""
    problem = vocabulary(model, examples, slots=3, percentile=40, search_examples=8)
    problem.prepare(tmp_path_factory.mktemp("prepared"), 1)
    problem.setup("cpu", 1)
    everything = np.array(list(product(range(len(problem._words) + 1), repeat=3)))
    genomes = np.random.default_rng(0).permutation(np.unique(problem.canonical(everything), axis=0))[:400]
    rows = problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SEARCH)
    return np.array(rows, dtype=np.float64)[:, 0]


@pytest.mark.parametrize(
    "algorithm", ["nsga2", "greedy", {"name": "genetic", "elite": 0.2}, {"name": "particle-swarm", "moves": 4}]
)
def test_every_search_finds_words_that_surprise_less(
    model: Path,
    examples: dict[str, str],
    surprises: np.ndarray[Any, np.dtype[np.float64]],
    tmp_path: Path,
    algorithm: Any,
) -> None:
    config = {
        "problem": {
            "name": "prompt-vocabulary",
            "model": str(model),
            "prompt": PROMPT,
            "verbalisers": VERBALISERS,
            "examples": examples,
            "slots": 3,
            "percentile": 40,
            "search_examples": 8,
            "accept_guessing": True,
        },
        "search": {"algorithm": algorithm, "population": 10, "generations": 10, "mutation": "resample", "seed": 0},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="words")
    list(search)
    history = search.run.history
    reference = history["origin"].str.startswith("reference:")
    found = history.loc[~reference, "obj.cross-entropy"].min()
    assert found < history.loc[reference, "obj.cross-entropy"].min()
    assert np.mean(surprises < found) < 0.02, "among the best that there are"
    late = history["generation"] > history["generation"].max() - 4
    assert history.loc[late, "obj.cross-entropy"].mean() < surprises.mean(), "what it tries last is no draw at random"
    frame = search.run.pareto
    folder, said = export(search.run, str(frame.loc[frame["rank"] == 1, "candidate_id"].iloc[0]), formats=["json"])
    assert "{sentence}" in json.loads((folder / "prompt.json").read_text())["prompt"]
    assert said["answers_compared"] == 10
