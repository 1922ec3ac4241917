"""Prompts on the real SmolLM2: the words of its own vocabulary, and a search among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emoprune
from emoprune.problems.language.loading import tokenizer_of
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.records import Split

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLUSTERS, PERCENTILE, EXAMPLES = 24, 75, 8
SST2 = Path(__file__).parents[1] / "data" / "prompts" / "sst-2"
AS_JSON = (
    '{"review": "the acting is stiff , the plot is thin .", "label": "negative"}\n'
    '{"review": "a bright , tender and very funny film .", "label": "positive"}\n'
    '{"review": "<<sentence>>", "label": "'
)


def sst2(folder: Path) -> dict[str, str]:
    """Write 24 reviews to search on, of both classes in turn, and as many for the other parts."""
    found = {}
    for part, name in (("search", "train_16shot_seed0"), ("select", "dev"), ("test", "test")):
        lines = (SST2 / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        piles = [[line for line in lines if line.endswith(label)] for label in "01"]
        rows = [line for pair in zip(*piles, strict=False) for line in pair][:24]
        path = folder / f"{part}.tsv"
        path.write_text("\n".join(["sentence\tlabel", *rows]) + "\n", encoding="utf-8")
        found[part] = str(path)
    return found


def test_a_prompt_that_ends_in_a_quotation_mark_is_answered_without_a_space(tmp_path: Path) -> None:
    accuracy, masses = {}, {}
    for between in ("auto", "space"):
        asked = PromptTokens(
            prompt=AS_JSON,
            placeholder="<<{}>>",
            verbalisers={"0": "negative", "1": "positive"},
            examples=sst2(tmp_path),
            between=between,
            references=(),
            stop_early=False,
        )
        folder = tmp_path / between
        folder.mkdir()
        asked.prepare(folder, 1)
        asked.setup("cpu", 1)
        whole = asked.space.full[None]
        accuracy[between] = asked.evaluate(whole, np.zeros(1, dtype=np.uint64), Split.SEARCH)[0][0]
        masses[between] = json.loads((folder / "continuation.json").read_text(encoding="utf-8"))
        assert bool(asked.alarms([], np.zeros((0, 2)))) == (between == "space")
    assert masses["auto"]["between"] == "nothing"
    assert masses["auto"]["masses"]["nothing"] > 0.5
    assert masses["auto"]["masses"]["space"] < 0.05
    assert masses["space"]["masses"] == {"space": pytest.approx(masses["auto"]["masses"]["space"], rel=1e-3)}
    assert accuracy["auto"] != accuracy["space"], "which of them is asked makes a difference"


def test_smollm2s_own_words_are_pruned_to_the_influential_and_searched(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "problem": {
            "name": "prompt-vocabulary",
            "model": "smollm2",
            "prompt": "{words}. Review: {sentence}\nOpinion:",
            "verbalisers": {"negative": "bad", "positive": "good"},
            "slots": 2,
            "clusters": CLUSTERS,
            "percentile": PERCENTILE,
            "accept_guessing": True,  # so few examples tell nothing
            **{f"{part}_examples": EXAMPLES for part in ("search", "select", "test")},
        },
        "search": {"algorithm": "greedy", "population": 4, "generations": 3},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="words")
    list(search)
    lines = (search.run.path / "problem" / "influence.jsonl").read_text(encoding="utf-8").splitlines()
    influences = dict(json.loads(line) for line in lines)
    check_words(list(influences))
    kept = json.loads((search.run.path / "problem" / "vocabulary.json").read_text(encoding="utf-8"))
    bound = np.percentile(list(influences.values()), PERCENTILE)
    ranked = sorted(influences, key=lambda word: -influences[word])
    assert kept["words"] == [word for word in ranked if influences[word] > bound]
    assert 1 < len(kept["words"]) <= len(influences) / 3
    assert kept["measured"] == len(influences) + 1
    history = search.run.history
    assert (history["status"] == "ok").all()
    searched = history.loc[~history["origin"].str.startswith("reference:")]
    assert len(searched) > 4
    assert searched["obj.cross-entropy"].between(0, 5).all()
    assert searched["obj.cross-entropy"].nunique() > 1
    assert search.run.pareto.loc[lambda frame: frame["rank"] == 1, "test.cross-entropy"].notna().any()


def check_words(words: list[str]) -> None:
    """Insist that each is one ordinary token of the model's, which begins a word, and that they are of many kinds."""
    tokenizer = tokenizer_of("smollm2")
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    assert CLUSTERS / 2 < len(words) == len(set(words)) <= CLUSTERS
    for word in words:
        (token,) = tokenizer.convert_ids_to_tokens(tokenizer(f"is {word}")["input_ids"][1:])
        assert token.startswith("\u0120"), f"{word!r} stands as {token!r}, which does not begin a word"
        assert token not in special
        assert word.isprintable()
        assert not any(sign.isspace() for sign in word)
