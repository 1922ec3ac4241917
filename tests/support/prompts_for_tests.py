"""Prompts on small models of real architectures: words as tokens, examples drawn at random, everything in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from language_for_tests import SPECIAL, WORDS, bert, llama, saved

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import Seen
from emoprune.problems.prompts.tokens import PromptTokens

PROMPT = "the cat sees a dog red it likes the house blue {sentence} is"
VERBALISERS = {"one": "red", "two": "blue"}


def rows(count: int, seed: int = 0, words: int = 4) -> list[tuple[str, str]]:
    """Return different sentences with one of two labels in turn."""
    rng, found = np.random.default_rng(seed), dict[str, str]()
    while len(found) < count:
        length = int(rng.integers(2, words + 4))
        found.setdefault(" ".join(rng.choice(WORDS, length)), ("one", "two")[len(found) % 2])
    return list(found.items())


def written(path: Path, examples: list[tuple[str, str]], header: tuple[str, str] = ("sentence", "label")) -> Path:
    """Write examples as a TSV file."""
    path.write_text("".join("\t".join(row) + "\n" for row in [header, *examples]), encoding="utf-8")
    return path


def parts(folder: Path, *sizes: int) -> dict[str, str]:
    """Write three files of examples that share nothing; return them as a config names them."""
    sizes = sizes or (16, 12, 10)
    everything, found, begin = rows(sum(sizes)), {}, 0
    for name, size in zip(("search", "select", "test"), sizes, strict=True):
        found[name] = str(written(folder / f"{name}.tsv", everything[begin : begin + size]))
        begin += size
    return found


def told(model: Path, count: int) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return examples labelled as the model answers the whole prompt, and the two words that it then says both of."""
    from emoprune.problems.language.loading import pretrained
    from emoprune.problems.prompts.scorers.causal import CausalScorer
    from emoprune.problems.prompts.scorers.reading import LocalModel

    texts = [text for text, _ in rows(count)]
    scorer = CausalScorer(LocalModel(pretrained(str(model), "language-model"), "cpu", special=True))
    logits = scorer.plain([PROMPT.replace("{sentence}", text) for text in texts])[:, len(SPECIAL) :]
    above = (logits[:, :, None] > logits[:, None, :]).mean(axis=0)
    one, two = np.unravel_index(np.abs(above - 0.5).argmin(), above.shape)
    labels = np.where(logits[:, one] > logits[:, two], "one", "two")
    return list(zip(texts, labels.tolist(), strict=True)), {"one": WORDS[one], "two": WORDS[two]}


def causal_folder(folder: Path, **more: Any) -> Path:
    """Write a small Llama with a tokenizer of words."""
    return saved(folder, llama(**more))


def masked_folder(folder: Path) -> Path:
    """Write a small BERT with a tokenizer of words and a mask."""
    from language_for_tests import tokenizer

    words = tokenizer()
    words.add_special_tokens({"mask_token": "<unk>"})
    saved(folder, bert(), with_tokenizer=False)
    words.save_pretrained(folder)
    return folder


def pieces_model(folder: Path) -> Path:
    """Write a small Llama whose tokenizer knows words whole behind a space alone, and that has a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["</s>"])
    made.train_from_iterator([f" {PROMPT}"] * 9, trainer)
    words = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", pad_token="</s>")  # noqa: S106  # no secret
    words.chat_template = "{% for m in messages %}[{{ m['content'] }}]\n{% endfor %}"
    model = llama()
    model.resize_token_embeddings(len(words))
    saved(folder, model, with_tokenizer=False)
    words.save_pretrained(folder)
    return folder


def masked_pieces(folder: Path) -> Path:
    """Write a small BERT whose tokenizer knows red and blue with a space before them and without, as RoBERTa's does."""
    from language_for_tests import bert
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import AddedToken, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator([f" {PROMPT}", "red", "blue", "old"] * 9, trainer)
    mask = AddedToken("<mask>", lstrip=True, special=True)
    words = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", mask_token=mask)  # noqa: S106  # no secret
    model = bert()
    model.resize_token_embeddings(len(words))
    saved(folder, model, with_tokenizer=False)
    words.save_pretrained(folder)
    return folder


def prompt_tokens(model: Path, examples: Any, **more: Any) -> PromptTokens:
    """Return a small problem of token deletion."""
    options: dict[str, Any] = {"prompt": PROMPT, "verbalisers": VERBALISERS, "references": (), "stop_early": False}
    return PromptTokens(**{**options, "model": str(model), "examples": examples, **more})


@about("measurement", ["tokens"], serves=["prompt-tokens", "prompt-vocabulary"], cost="nothing")
class Letters:
    """How many letters the prompt has."""

    unit = "letters"
    direction = Direction.MINIMISE
    needs = "prompt"

    def __call__(self, seen: Seen) -> float:
        return float(len(seen.prompt))


@about("measurement", ["tokens"], serves=["prompt-tokens", "prompt-vocabulary"], cost="nothing")
class Together:
    """Whether most answers are right, which no example says alone."""

    unit = ""
    direction = Direction.MAXIMISE
    needs = "answers"

    def __call__(self, seen: Seen) -> float:
        return float(seen.answers.right.mean() > 0.5)
