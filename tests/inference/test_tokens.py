"""Tokens that are dropped: exact, counted as used, replayed as the model itself would run, and refused where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classifiers_for_tests import sentence_classifier, sentences, written_rows
from language_for_tests import drawn, saved
from methods_for_tests import prepared
from transformers_for_tests import VISION, sentences_folder

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.inference.sample import tokens
from emoprune.problems.networks.transformers.inference.standalone import token_selectors
from emoprune.problems.networks.transformers.inference.standalone.dropping import patched
from emoprune.problems.networks.transformers.inference.tokens.problem import Tokens, _model_of
from emoprune.records import Split
from emoprune.testing import ProblemConformance


@pytest.mark.slow
class TestTokens(ProblemConformance):
    genomes = 2
    test_an_export_writes_files_and_leaves_the_problem_as_it_was = None  # type: ignore[assignment]  # below, once

    def problem(self) -> Tokens:
        return tokens()


def of_sentences(place: Path, **options: Any) -> dict[str, Any]:
    """Return the options of a search over the words of sentences of mixed lengths."""
    rows = written_rows(place / "rows.tsv", sentences(80), ("no", "yes"))
    model = sentence_classifier(place / "model")
    return {"model": str(model), "task": "text-classification", "data": str(rows), "length": 16, **options}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """A vision transformer with a class token."""
    own: Tokens = prepared(tokens(), tmp_path_factory.mktemp("tokens"))
    return own


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """A BERT whose tokenizer puts no class token in front."""
    place = tmp_path_factory.mktemp("words")
    own: Tokens = prepared(tokens(**of_sentences(place)), place / "run")
    return own


def unpruned_outputs(problem: Tokens, part: str) -> torch.Tensor:
    """Return what the model's own code puts out."""
    own = problem.open()
    model = _model_of(own)
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        found = torch.cat([first_output(own.task.model(**batch.inputs)) for batch in own.task.parts[part]])
    model.set_attn_implementation("emoprune-dropping")
    return found


def outputs_of(problem: Tokens, genome: Any, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    assert problem._replay is not None
    with torch.inference_mode():
        found, used = problem._replay.outputs(problem._layout.policy(genome), part)
    return torch.cat(found), used


@pytest.mark.parametrize("which", ["ready", "words"])
def test_a_model_that_drops_nothing_answers_as_it_does_by_itself(which: str, request: pytest.FixtureRequest) -> None:
    problem: Tokens = request.getfixturevalue(which)
    expected = unpruned_outputs(problem, "search")
    found, used = outputs_of(problem, problem.space.full, "search")
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
    assert float(used.sum(dim=0).double().mean()) == problem._whole()


def test_padding_stays_as_the_model_has_it_where_nothing_is_dropped(words: Tokens) -> None:
    """What pools the first place pools padding, where it stands on the left, in the model itself as well."""
    own = words.open()
    ids = torch.tensor([[0, 0, 5, 6, 7], [4, 5, 6, 7, 8]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    inputs = {"input_ids": ids, "attention_mask": mask}
    plain = prepared_model(own.loaded.source.name, words)
    plain.set_attn_implementation("eager")
    whole = words._layout.policy(words.space.full)
    model = patched(prepared_model(own.loaded.source.name, words), whole, own.anatomy.path, token_selectors)
    with torch.inference_mode():
        expected, found = first_output(plain(**inputs)), first_output(model(**inputs))
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


def test_a_model_with_two_tokens_before_its_patches_never_drops_them(tmp_path: Path) -> None:
    place = saved(tmp_path / "deit", VISION["DeiT"](), with_tokenizer=False)
    problem = prepared(tokens(model=str(place), shares=(0.5,)), tmp_path / "run")
    assert problem._first == 2
    genome = problem._layout.genome(0, 0, "attention")
    expected = unpruned_outputs(problem, "search")
    found, used = outputs_of(problem, genome, "search")
    assert used.tolist() == [[18] * found.shape[0], [2 + 8] * found.shape[0]]
    assert not torch.allclose(found, expected, atol=1e-3)


def one_by_one(problem: Tokens, genome: Any, part: str) -> torch.Tensor:
    """Return outputs of each example alone: its tokens gathered by hand, and the layers' own attention on them."""
    policy, own = problem._layout.policy(genome), problem.open()
    model, layers = _model_of(own), own.task.model.get_submodule(own.anatomy.path)
    found = []
    for batch in own.task.parts[part]:
        for row in range(len(batch.labels)):
            there = batch.inputs.get("attention_mask")
            real = slice(None) if there is None else there[row].bool()
            inputs = {
                name: each[row : row + 1] if name == "pixel_values" else each[row : row + 1, real]
                for name, each in batch.inputs.items()
            }
            found.append(_alone(model, layers, policy, inputs, own.task.model))
    return torch.cat(found)


def _alone(model: Any, layers: Any, policy: Any, inputs: Any, whole: Any) -> torch.Tensor:
    """Run one example: at the layer of the policy, hidden states are taken apart by hand."""
    model.set_attn_implementation("eager")
    states: list[torch.Tensor] = []
    handle = layers[policy.layer].register_forward_pre_hook(lambda _layer, given: states.append(given[0]))
    weights: list[torch.Tensor] = []
    modules = layers[policy.layer - 1].named_modules()
    attention = next(each for name, each in modules if name.endswith(("attention", "self")))
    watch = attention.register_forward_hook(lambda _module, _given, out: weights.append(out[1]))
    with torch.inference_mode():
        first_output(whole(**inputs))
    handle.remove()
    watch.remove()
    hidden, mean = states[0], weights[0].mean(dim=1)
    scores = (mean[:, 0] if policy.first else mean.mean(dim=1))[0, policy.first :]
    number = int(np.ceil(len(scores) * policy.share - 1e-6))
    best = sorted(scores.topk(number).indices.tolist())
    kept = [*range(policy.first), *(own + policy.first for own in best)]
    with torch.inference_mode():
        own = hidden[:, kept]
        for layer in layers[policy.layer :]:
            out = layer(own)
            own = out[0] if isinstance(out, tuple) else out
        filled = own.mean(dim=1, keepdim=True).repeat(1, hidden.shape[1], 1)
        filled[:, kept] = own

        def put_back(_layer: Any, _given: Any, out: Any) -> Any:
            return (filled, *out[1:]) if isinstance(out, tuple) else filled

        handle = layers[-1].register_forward_hook(put_back)
        found = first_output(whole(**inputs))
    handle.remove()
    model.set_attn_implementation("emoprune-dropping")
    return found


@pytest.mark.parametrize("which", ["ready", "words"])
def test_what_is_dropped_takes_no_part_in_later_layers(which: str, request: pytest.FixtureRequest) -> None:
    """The same outputs as with the tokens taken out by hand, example by example, without padding or masks."""
    problem: Tokens = request.getfixturevalue(which)
    genome = problem._layout.genome(0, 1, "attention")
    found, _ = outputs_of(problem, genome, "select")
    problem._replay._state.number = 0  # type: ignore[union-attr]  # set up above
    expected = one_by_one(problem, genome, "select")
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("which", ["ready", "words"])
@pytest.mark.parametrize("later", [False, True])
def test_a_replayed_policy_answers_as_the_patched_model_does(
    which: str, later: bool, request: pytest.FixtureRequest
) -> None:
    problem: Tokens = request.getfixturevalue(which)
    own = problem.open()
    for name in problem._layout.selectors:
        genome = problem._layout.genome(0, 1, name)
        if later:
            genome[4:] = len(problem._layout.layers) - 1, 0
        policy = problem._layout.policy(genome)
        replayed, used = outputs_of(problem, genome, "test")
        fresh = prepared_model(own.loaded.source.name, problem)
        model = patched(fresh, policy, own.anatomy.path, token_selectors)
        with torch.inference_mode():
            live = [(first_output(model(**batch.inputs)), model.dropping.used) for batch in own.task.parts["test"]]
        assert torch.allclose(replayed, torch.cat([each for each, _ in live]), atol=1e-4)
        assert used.tolist() == torch.cat([each for _, each in live], dim=1).tolist()


def prepared_model(name: str, problem: Tokens) -> Any:
    import transformers

    factory = str(problem.open().task.about["factory"])
    return getattr(transformers, factory).from_pretrained(name).eval()


def test_examples_keep_numbers_of_their_own_and_costs_are_their_mean(ready: Tokens) -> None:
    genome = ready._layout.genome(0, 1, "cls-knee")
    values = ready.values(genome, Split.SEARCH)
    _, used = outputs_of(ready, genome, "search")
    assert len(set(used[1].tolist())) > 1
    assert values["layer-tokens"] == float(used.sum(dim=0).double().mean())
    assert used[0].tolist() == [17] * used.shape[1]


def test_words_that_are_padding_are_neither_kept_nor_counted(words: Tokens) -> None:
    _, used = outputs_of(words, words._layout.genome(0, 1, "attention"), "search")
    batches = words.open().task.parts["search"]
    lengths = torch.cat([batch.inputs["attention_mask"].sum(dim=1) for batch in batches])
    assert used[0].tolist() == lengths.tolist()
    assert used[1].tolist() == torch.ceil(lengths * 0.5).long().tolist()
    assert len(set(lengths.tolist())) > 1


def test_a_text_without_a_class_token_is_asked_by_all_of_its_tokens(words: Tokens) -> None:
    assert words._first == 0
    assert words.inspect().summary["what asks"] == "all tokens, as there is no class token"


def test_genomes_that_drop_the_same_have_one_form(ready: Tokens) -> None:
    genomes = np.array([[0, 3, 0, 0, 1, 3], [1, 3, 1, 2, 0, 3], [1, 1, 0, 2, 0, 1], [0, 1, 0, 0, 1, 1]])
    full = ready.space.full.tolist()
    assert ready.canonical(genomes).tolist() == [full, full, [1, 1, 0, 0, 1, 3], [0, 1, 0, 0, 1, 1]]
    assert ready.describe(np.array([0, 1, 0, 0, 1, 1]))["and before layer"] == 2


def test_a_later_layer_drops_those_that_are_attended_to_least(ready: Tokens) -> None:
    both, one = np.array([0, 1, 0, 0, 1, 1]), np.array([0, 1, 0, 0, 1, 3])
    _, used = outputs_of(ready, both, "search")
    assert used[:, 0].tolist() == [17, 1 + 8, 1 + 4]
    assert ready.values(both, Split.SEARCH)["layer-tokens"] < ready.values(one, Split.SEARCH)["layer-tokens"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"layers": (0, 1)}, "layers: expected rising numbers from 1 to 2"),
        ({"layers": (2, 1)}, "layers: expected rising numbers from 1 to 2"),
        ({"shares": (0.5, 1.0)}, "shares: expected rising shares between 0 and 1"),
        ({"selectors": ()}, "selectors: expected one or more"),
        ({"selectors": ("knee",)}, "selectors: .*'knee'"),
        ({"selectors": ({"name": "saliency-diversity", "strengths": [-1.0]},)}, "expected rising numbers of 0 or more"),
        ({"selectors": ({"name": "coverage", "unit_temperature": 0.0},)}, "expected temperatures above 0"),
        ({"selectors": ({"name": "cls-knee", "offsets": [2, 1]},)}, "offsets: expected rising whole numbers"),
        ({"selectors": ({"name": "cls-knee", "flat": 1.0},)}, "flat: expected a share from 0 to below 1"),
        ({"task": "language-modelling"}, "task: expected image-classification or text-classification"),
        ({"record_megabytes": 0}, "record_megabytes: expected 1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        tokens(**options)


def test_what_would_not_fit_into_memory_is_refused_with_how_much_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from emoprune.problems.networks.transformers.inference.tokens import problem

    monkeypatch.setattr(problem, "bytes_of", lambda *_: 3 * 2**30)
    with pytest.raises(ConfigError, match=r"would take 3,072 MB .* found a bound of 1,024; ask for fewer layers"):
        tokens()


def test_nothing_is_measured_before_it_was_loaded() -> None:
    with pytest.raises(ContractError, match="not loaded yet"):
        tokens().values(np.array([0, 0, 0, 0, 1, 3]), Split.SEARCH)


def test_a_model_that_attends_by_code_of_its_own_is_refused(tmp_path: Path) -> None:
    from transformers import MPNetConfig, MPNetForSequenceClassification
    from transformers_for_tests import SIZES

    rows = written_rows(tmp_path / "rows.tsv", sentences(80), ("no", "yes"))
    config = MPNetConfig(**SIZES, max_position_embeddings=64, pad_token_id=3)
    place = saved(tmp_path / "model", drawn(MPNetForSequenceClassification, config))
    problem = tokens(model=str(place), task="text-classification", data=str(rows), length=16)
    with pytest.raises(ConfigError, match="attends by code of its own"):
        problem.prepare(tmp_path / "run", 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "an encoder with a classifier that is fitted here"])
def test_an_exported_policy_answers_alike_in_a_fresh_process(tmp_path: Path, kind: str) -> None:
    options: dict[str, Any] = {}
    if kind != "images":
        options = {**sentences_folder(tmp_path), "task": "text-classification", "length": 16}
    problem = prepared(tokens(**options), tmp_path / "run")
    genome = problem._layout.genome(0, 1, "cls-knee")
    (tmp_path / "export").mkdir()
    said = problem.export(genome, tmp_path / "export")
    assert float(said["largest difference of outputs"]) < 1e-4
    assert said["tokens by layer"]


@pytest.mark.slow
def test_an_export_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = prepared(tokens(), tmp_path / "run")
    replayed = problem._replayed
    other = problem._layout.policy(problem._layout.genome(0, 0, "attention"))
    monkeypatch.setattr(problem, "_replayed", lambda _: replayed(other))
    (tmp_path / "export").mkdir()
    with pytest.raises(ContractError, match="answers otherwise than it was measured"):
        problem.export(problem._layout.genome(0, 2, "coverage"), tmp_path / "export")
