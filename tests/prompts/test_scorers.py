"""Reading what examples share once, in batches by length, with a narrow head: the same answers as the plain way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from language_for_tests import WORDS, drawn, gguf, saved
from numpy.typing import NDArray
from prompts_for_tests import causal_folder, masked_folder, rows

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import pretrained
from emoprune.problems.prompts.scorers.batching import MOST_TOGETHER, STARTING, batches
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Choices, Filled
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.scorers.precision import choose_precision
from emoprune.problems.prompts.scorers.reading import CannotRead, LocalModel
from emoprune.problems.prompts.template import Template

TEMPLATE = Template.of("the cat sees a dog red it likes the house blue {sentence} is", {"sentence"})
RED, BLUE = (4 + WORDS.index(word) for word in ("red", "blue"))
CHOICES = Choices.one_each((" red", " blue"), (RED, BLUE))


def filled(count: int = 12, template: Template = TEMPLATE) -> Filled:
    return Filled(template, tuple((text,) for text, _ in rows(count)))


@pytest.fixture(scope="module", params=[False, True], ids=["in batches", "in one row"])
def causal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalScorer:
    folder = causal_folder(tmp_path_factory.mktemp("causal"))
    return scorer_of(folder, packing=request.param)


def scorer_of(folder: Path, **how: Any) -> CausalScorer:
    return CausalScorer(LocalModel(pretrained(str(folder), "language-model"), "cpu", special=True), **how)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> MaskedScorer:
    folder = masked_folder(tmp_path_factory.mktemp("masked"))
    return MaskedScorer(LocalModel(pretrained(str(folder), "masked-language-model"), "cpu", special=True))


def published(model: Any, ids: list[list[int]]) -> np.ndarray[Any, Any]:
    """Run each text alone over all of the vocabulary, as nobody can get wrong."""
    with torch.inference_mode():
        return np.array([model(input_ids=torch.tensor([each])).logits[0, -1, [RED, BLUE]].tolist() for each in ids])


def test_shared_beginnings_batches_and_a_narrow_head_change_nothing(causal: CausalScorer) -> None:
    asked = filled()
    found = causal.prompted(asked, CHOICES).choices(np.arange(12))
    expected = published(causal.local.model, causal.local.ids(asked.texts()))
    assert np.allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_a_row_is_the_same_whichever_rows_are_asked_with_it(causal: CausalScorer) -> None:
    prompted = causal.prompted(filled(), CHOICES)
    together = prompted.choices(np.arange(12))
    assert np.allclose(prompted.choices(np.array([7, 2])), together[[7, 2]], atol=1e-5)


@pytest.mark.parametrize("text", ["{sentence}", "{sentence} is the cat", "the cat {sentence}"])
def test_a_prompt_may_share_nothing_with_its_neighbours_or_end_in_its_input(causal: CausalScorer, text: str) -> None:
    asked = filled(6, Template.of(text, {"sentence"}))
    expected = published(causal.local.model, causal.local.ids(asked.texts()))
    assert np.allclose(causal.prompted(asked, CHOICES).choices(np.arange(6)), expected, atol=1e-5)


def test_examples_that_are_all_alike_leave_a_token_to_read(causal: CausalScorer) -> None:
    asked = Filled(TEMPLATE, (("the cat",), ("the cat",)))
    found = causal.prompted(asked, CHOICES).choices(np.arange(2))
    assert np.allclose(found, published(causal.local.model, causal.local.ids(asked.texts())), atol=1e-5)


def test_the_models_own_head_and_attention_are_back_afterwards(causal: CausalScorer) -> None:
    before = causal.local.model.get_output_embeddings()
    attention = causal.local.model.config._attn_implementation
    causal.prompted(filled(3), CHOICES).choices(np.arange(3))
    assert causal.local.model.get_output_embeddings() is before
    assert causal.local.model.config._attn_implementation == attention
    assert causal.local.model(input_ids=torch.tensor([[4, 5]])).logits.shape[-1] == 28


def test_the_head_projects_the_ends_of_the_examples_alone(causal: CausalScorer) -> None:
    asked = filled()
    ids = causal.local.ids(asked.texts())
    projected: list[tuple[int, ...]] = []

    def look(module: torch.nn.Module, _given: object, made: Any) -> None:
        if isinstance(module, torch.nn.Linear) and module.out_features == len(CHOICES.tokens):
            projected.append(tuple(made.shape[:-1]))

    hook = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        causal.prompted(asked, CHOICES).choices(np.arange(12))
    finally:
        hook.remove()
    if causal.packing:
        assert projected == [(1, 12)]
    else:
        assert sum(rows for rows, _ in projected) == 12
        assert sum(places for _, places in projected) <= len({len(each) for each in ids}) + len(projected) - 1


def test_a_soft_cap_on_logits_holds_with_a_narrow_head_too(tmp_path: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=28,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=8,
        final_logit_softcapping=0.5,
        initializer_range=0.2,
        pad_token_id=3,
    )
    folder = saved(tmp_path, drawn(Gemma2ForCausalLM, config))
    scorer = scorer_of(folder)
    asked = filled(8)
    found = scorer.prompted(asked, CHOICES).choices(np.arange(8))
    assert np.abs(found).max() <= 0.5
    assert np.allclose(found, published(scorer.local.model, scorer.local.ids(asked.texts())), atol=1e-4)
    assert scorer.agrees_with_plain(asked, CHOICES)
    in_one_row = scorer_of(folder, packing=True)
    with pytest.raises(CannotRead, match=r"attends in a way of its own: .*softcap"):
        in_one_row.prompted(asked, CHOICES).choices(np.arange(8))
    assert not in_one_row.agrees_with_plain(asked, CHOICES)


def test_a_model_with_learned_positions_reads_examples_in_one_row_too(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=28, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2)
    scorer = scorer_of(saved(tmp_path, drawn(GPT2LMHeadModel, config)), packing=True)
    found = scorer.prompted(filled(9), CHOICES).choices(np.arange(9))
    assert np.allclose(found, published(scorer.local.model, scorer.local.ids(filled(9).texts())), atol=1e-5)


def test_models_that_would_mix_up_examples_in_one_row_are_found_out(tmp_path: Path, capfd: Any) -> None:
    from transformers import BloomConfig, BloomForCausalLM, Lfm2Config, Lfm2ForCausalLM

    bloom = BloomConfig(vocab_size=28, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2, pad_token_id=3)
    convolving = Lfm2Config(
        vocab_size=28,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
        initializer_range=0.2,
        pad_token_id=3,
    )
    models = {"bloom": drawn(BloomForCausalLM, bloom), "convolving": drawn(Lfm2ForCausalLM, convolving)}
    capfd.readouterr()
    for name, model in models.items():
        scorer = scorer_of(saved(tmp_path / name, model), packing=True)
        nothing_shared = filled(8, Template.of("{sentence} is", {"sentence"}))
        assert not scorer.agrees_with_plain(filled(), CHOICES)
        assert not scorer.agrees_with_plain(nothing_shared, CHOICES)
        assert CausalScorer(scorer.local).agrees_with_plain(filled(), CHOICES) is (name == "bloom")
        assert CausalScorer(scorer.local, sharing=False).agrees_with_plain(filled(), CHOICES)
    written = Choices.none()
    assert not scorer.agrees_with_plain(filled(), written), "what is written freely goes on from what is shared, too"
    assert CausalScorer(scorer.local, sharing=False).agrees_with_plain(filled(), written)
    assert "does not support setting" not in capfd.readouterr().err


@pytest.mark.parametrize("most", [1, 30, 4096])
def test_however_many_tokens_a_row_may_have_changes_nothing(causal: CausalScorer, most: int) -> None:
    asked, how = filled(), {"sharing": causal.sharing, "packing": causal.packing}
    found = CausalScorer(causal.local, most, **how).prompted(asked, CHOICES).choices(np.arange(12))
    assert np.allclose(found, causal.prompted(asked, CHOICES).choices(np.arange(12)), atol=1e-5)


def test_a_model_that_forgets_what_was_shared_is_found_out(causal: CausalScorer) -> None:
    assert causal.agrees_with_plain(filled(), CHOICES)

    class Forgetful(CausalScorer):
        def plain(self, texts: Sequence[str]) -> NDArray[np.float64]:
            return super().plain([text.removeprefix("the cat ") for text in texts])

    assert not Forgetful(causal.local).agrees_with_plain(filled(), CHOICES)


def test_texts_are_continued_as_the_model_itself_continues_them(causal: CausalScorer) -> None:
    asked = filled(5)
    said = causal.prompted(asked, Choices.none()).continuations(np.array([3, 0, 4]), 6, "")
    for text, row in zip(said, (3, 0, 4), strict=True):
        ids = torch.tensor([causal.local.ids(asked.texts())[row]])
        for _ in range(6):
            following = causal.local.model(input_ids=ids).logits[0, -1].argmax()
            if int(following) == causal.local.tokenizer.eos_token_id:
                break
            ids = torch.cat([ids, following.reshape(1, 1)], dim=1)
        own = ids[0, len(causal.local.ids(asked.texts())[row]) :]
        assert text == causal.local.tokenizer.decode(own, skip_special_tokens=True)


def test_a_continuation_ends_at_its_stop(causal: CausalScorer) -> None:
    prompted = causal.prompted(filled(5), Choices.none())
    whole = prompted.continuations(np.arange(5), 6, "")
    stop = next(text.split()[2] for text in whole if len(text.split()) > 3)
    assert prompted.continuations(np.arange(5), 6, stop) == [text.partition(stop)[0] for text in whole]


def test_a_text_longer_than_the_context_is_named_with_both_lengths(causal: CausalScorer) -> None:
    long = Filled(TEMPLATE, (("the cat " * 70,), ("the cat",)))
    assert causal.prompted(long, CHOICES).refusal(1) == (
        "the longest example makes 152 tokens of the prompt, the model reads 128"
    )
    assert causal.prompted(filled(), CHOICES).refusal(1) is None


def test_a_text_without_room_for_its_answer_is_refused_from_the_first_token_that_would_not_be_read(
    causal: CausalScorer,
) -> None:
    prompted = causal.prompted(Filled(TEMPLATE, (("the cat " * 40,),)), Choices.none())
    assert prompted.refusal(37) is None, "92 tokens, and 36 of the answer are read again"
    assert prompted.refusal(38) == (
        "the longest example makes 92 tokens of the prompt and an answer has up to 38, the model reads 128"
    )


def test_surprise_is_the_negative_logarithm_of_what_was_expected(causal: CausalScorer) -> None:
    text = "the cat sees a dog"
    scores = causal.token_scores(text)
    assert [text[start:end] for start, end in scores.spans.tolist()] == text.split()
    ids = [causal.local.tokenizer.bos_token_id, *causal.local.tokenizer(text, add_special_tokens=False).input_ids]
    logits = causal.local.model(input_ids=torch.tensor([ids])).logits[0].double()
    expected = [-float(logits[place].log_softmax(0)[ids[place + 1]]) for place in range(5)]
    assert scores.surprisal == pytest.approx(expected, rel=1e-4)


def test_a_masked_model_fills_in_what_it_would_fill_in_alone(masked: MaskedScorer) -> None:
    template = Template.of("the cat {sentence} is {mask_token} and old", {"sentence"})
    asked = filled(9, template)
    found = masked.prompted(asked, CHOICES).choices(np.arange(9))
    for row, text in enumerate(asked.texts(masked.local.tokenizer.mask_token)):
        ids = masked.local.tokenizer(text)["input_ids"]
        logits = masked.local.model(input_ids=torch.tensor([ids])).logits
        expected = logits[0, ids.index(masked.local.tokenizer.mask_token_id), [RED, BLUE]]
        assert np.allclose(found[row], expected.detach().numpy(), atol=1e-5)


def test_a_masked_model_refuses_what_it_cannot_do(masked: MaskedScorer) -> None:
    template = Template.of("{sentence} is {mask_token}", {"sentence"})
    two = Filled(template, (("unheard",), ("the cat",)))
    assert masked.prompted(two, CHOICES).refusal(1) == "expected one mask in the filled prompt, found 2"
    long = Filled(template, (("the " * 100,), ("the cat",)))
    assert "the model reads 96" in str(masked.prompted(long, CHOICES).refusal(1))
    with pytest.raises(ConfigError, match="generation needs a causal language model"):
        masked.prompted(two, CHOICES).continuations(np.arange(1), 4, "")


def test_a_masked_model_is_surprised_by_what_it_would_not_have_filled_in(masked: MaskedScorer) -> None:
    scores = masked.token_scores("the cat sees")
    assert scores.spans.tolist() == [[0, 3], [4, 7], [8, 12]]
    assert (scores.surprisal > 0).all()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 200))
def test_batches_hold_every_text_once_and_no_grouping_of_neighbours_is_cheaper(lengths: list[int], most: int) -> None:
    sizes = np.array(lengths)
    groups = batches(sizes, most)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    assert all(len(group) * sizes[group].max() <= most or len(group) == 1 for group in groups)

    def cost(cut: list[np.ndarray[Any, Any]]) -> int:
        return sum(STARTING + len(group) * int(sizes[group].max()) for group in cut)

    order = np.argsort(sizes, kind="stable")
    for width in (1, 3, MOST_TOGETHER):
        other = [order[start : start + width] for start in range(0, len(order), width)]
        if all(len(group) * sizes[group].max() <= most or len(group) == 1 for group in other):
            assert cost(groups) <= cost(other)


def test_bfloat16_is_taken_only_where_it_predicts_the_same(causal: CausalScorer) -> None:
    class Wrong(CausalScorer):
        def prompted(self, filled: Filled, choices: Choices) -> Any:
            return super().prompted(filled, Choices.one_each(choices.words[::-1], choices.first[::-1]))

    def load(precision: str) -> CausalScorer:
        return causal if precision == "float32" else Wrong(causal.local)

    choice, scorer = choose_precision(load, [filled(6)], CHOICES)
    assert choice.precision == "float32"
    assert "bfloat16 changes" in choice.reason
    assert scorer is causal


@pytest.mark.parametrize(("slow", "taken"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_of_two_precisions_that_predict_the_same_the_faster_is_taken(
    causal: CausalScorer, slow: str, taken: str
) -> None:
    class Slow(CausalScorer):
        def prompted(self, filled: Filled, choices: Choices) -> Any:
            ends = time.process_time() + 0.5
            while time.process_time() < ends:
                pass
            return super().prompted(filled, choices)

    how = {"sharing": causal.sharing, "packing": causal.packing}
    made = {name: (Slow if name == slow else CausalScorer)(causal.local, **how) for name in ("float32", "bfloat16")}
    choice, scorer = choose_precision(made.__getitem__, [filled(6)], CHOICES)
    assert choice.precision == taken
    assert scorer is made[taken]
    said = "changes none of 6 predictions" if taken == "bfloat16" else "is not faster here: 0.0"
    assert f"bfloat16 {said}" in choice.reason


def test_a_gguf_file_is_a_scorer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    loaded = pretrained(str(gguf(tmp_path / "small.gguf")), "language-model")
    scorer = CausalScorer(LocalModel(loaded, "cpu", special=True))
    letters = Choices.one_each(("a", "b"), loaded.tokenizer("ab cd")["input_ids"][:2])
    asked = Filled(Template.of("x{sentence}y", {"sentence"}), (("abc",), ("d",)))
    assert scorer.agrees_with_plain(asked, letters)
