"""Running narrowed models: sharing changes no bit, and perplexity is what other code computes."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers_for_tests import KINDS, LANGUAGE, SMALL, inputs_of, language_folder, sentences_folder

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.running.vocabulary import NextTokens
from emoprune.problems.networks.transformers.standalone.mixtures import unfused
from emoprune.records import Split

SEEDS = np.zeros(1, dtype=np.uint64)


def ready(place: Path, **more: Any) -> HeadsAndNeurons:
    made = HeadsAndNeurons(**{**language_folder(place), **SMALL, **more})
    made.prepare(place / "kept", 1)
    made.setup("cpu", 1)
    return made


def genomes(problem: HeadsAndNeurons, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    rng = np.random.default_rng(0)
    made = problem.canonical(rng.integers(problem.space.levels, size=(count, len(problem.space))))
    return made[problem.space.legal(made)]


def test_what_is_kept_of_neighbours_changes_no_bit_and_saves_layers(tmp_path: Path) -> None:
    sharing, alone = ready(tmp_path), ready(tmp_path, cache_megabytes=0)
    drawn = genomes(sharing, 40)
    drawn[1::2, :6] = drawn[::2, :6][: len(drawn) // 2]  # children that keep their parents' first layers
    drawn = drawn[np.lexsort(drawn.T[::-1])]
    together = sharing.evaluate(drawn, SEEDS, Split.SEARCH)
    apart = [alone.evaluate(genome[None], SEEDS, Split.SEARCH)[0] for genome in drawn[::-1]][::-1]
    assert [tuple(row) for row in together] == [tuple(row) for row in apart]  # type: ignore[arg-type]  # none failed
    runner = sharing.loaded.runner
    assert runner.layers_run < 0.75 * runner.layers_asked
    assert alone.loaded.runner.layers_run == alone.loaded.runner.layers_asked


@pytest.mark.parametrize("kind", LANGUAGE)
def test_perplexity_is_what_the_library_s_own_loss_gives(kind: str, tmp_path: Path) -> None:
    problem = HeadsAndNeurons(
        **language_folder(tmp_path, KINDS[kind]()), **SMALL, references=["uniform"], objectives=["perplexity", "kl"]
    )
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    for reference in problem.references()[:2]:
        perplexity, divergence = problem.evaluate(reference.genome[None], SEEDS, Split.TEST)[0]  # type: ignore[misc]
        model = problem.loaded.narrower.narrowed(problem.plans(reference.genome))
        losses, tokens = 0.0, 0
        for batch in problem.open().task.parts["test"]:
            ids = batch.inputs["input_ids"]
            with torch.no_grad():
                losses += float(model(input_ids=ids, labels=ids).loss) * ids[:, 1:].numel()
            tokens += ids[:, 1:].numel()
        assert perplexity == pytest.approx(math.exp(losses / tokens), rel=1e-4)
        assert divergence < 1e-6 or reference.name != "unpruned"


def test_the_divergence_is_the_one_of_whole_logits(tmp_path: Path) -> None:
    problem = ready(tmp_path, objectives=["kl", "parameters"])
    genome = problem.references()[1].genome
    (found, _) = problem.evaluate(genome[None], SEEDS, Split.SEARCH)[0]  # type: ignore[misc]
    model, unpruned = problem.loaded.narrower.narrowed(problem.plans(genome)), problem.open().task.model
    total, tokens = 0.0, 0
    for batch in problem.open().task.parts["search"]:
        with torch.no_grad():
            own, other = (each(**batch.inputs).logits[:, :-1].log_softmax(-1) for each in (model, unpruned))
        total += float((other.exp() * (other - own)).sum())
        tokens += own[..., 0].numel()
    assert found == pytest.approx(total / tokens, rel=1e-4)


def test_logits_that_are_computed_in_an_unknown_way_are_refused() -> None:
    model = unfused(KINDS["grouped-query Llama"]()).eval()
    inputs = inputs_of("grouped-query Llama")["input_ids"]
    hidden = model.model(inputs)[0]
    own = NextTokens(model)
    own.check(model, hidden, inputs)
    with pytest.raises(ConfigError, match="computes its logits in a way that is not known"):
        own.check(model, hidden * 1.5, inputs)


def test_losses_with_gradients_are_the_library_s_own() -> None:
    model = KINDS["grouped-query Llama"]().eval()
    ids = inputs_of("grouped-query Llama")["input_ids"]
    expected = model(input_ids=ids, labels=ids).loss
    own = NextTokens(model).loss(model.model(ids)[0], ids) / ids[:, 1:].numel()
    assert own.item() == pytest.approx(expected.item(), rel=1e-5)
    one, other = (torch.autograd.grad(each, model.model.norm.weight, retain_graph=True)[0] for each in (own, expected))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_classifier_is_fitted_on_an_encoder_without_one_and_tells_the_classes(tmp_path: Path) -> None:
    options = {**sentences_folder(tmp_path), "task": "text-classification", "length": 16, "calibration": 32}
    problem = HeadsAndNeurons(**options, levels=4, objectives=["error", "macs"])  # type: ignore[arg-type]  # of one kind
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    error, _ = problem.evaluate(problem.space.full[None], SEEDS, Split.TEST)[0]  # type: ignore[misc]
    assert error < 0.25
    assert anatomy_of(problem.open().task.model).blocks[0].attention.heads == 4


def test_the_time_of_a_batch_is_measured_on_the_narrowed_model(tmp_path: Path) -> None:
    problem = ready(tmp_path, objectives=["milliseconds", "parameters"], batch=2)
    rows = problem.evaluate(np.stack([problem.space.full]), SEEDS, Split.SEARCH)
    assert 0 < rows[0][0] < 1000  # type: ignore[index]  # it did not fail


class Headed(nn.Module):
    """No more of a language model than what an output layer is taken from."""

    def __init__(self, head: nn.Module, **config: float) -> None:
        super().__init__()
        self.head, self.config = head, SimpleNamespace(**config)

    def get_output_embeddings(self) -> nn.Module:
        """Return the output layer."""
        return self.head


@given(
    words=st.integers(2, 50),
    tokens=st.integers(2, 9),
    spread=st.sampled_from([0.1, 1.0, 40.0]),
    bias=st.booleans(),
    cap=st.sampled_from([None, 5.0]),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 60)),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)  # the first use of a kernel is slow
def test_a_vocabulary_that_passes_in_blocks_gives_the_sums_of_whole_logits(
    *, words: int, tokens: int, spread: float, bias: bool, cap: float | None, sizes: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(3, words, bias=bias)
    with torch.no_grad():
        for tensor in head.parameters():
            tensor.normal_(std=spread, generator=generator)
    hidden = torch.randn(2, tokens, 3, generator=generator)
    ids = torch.randint(words, (2, tokens), generator=generator)
    model = Headed(head, final_logit_softcapping=cap, logits_scaling=2.0)
    with torch.no_grad():
        own = NextTokens(model, *sizes)
        found, logits = own.sums(hidden, ids, wrong=True), own.logits(hidden[:, :-1].flatten(0, 1))
    following = ids[:, 1:].flatten()
    expected = nn.functional.cross_entropy(logits.double(), following, reduction="sum")
    assert found["loss"] == pytest.approx(float(expected), rel=1e-4, abs=1e-4)
    likeliest, place = logits.sort(dim=1, descending=True)
    clear = likeliest[:, 0] - likeliest[:, 1] > 1e-4  # a tie may fall either way
    assert abs(found["error"] - float((place[:, 0] != following).sum())) <= float((~clear).sum())
