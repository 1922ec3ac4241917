"""The search over caches: what is recorded, measured, counted and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_for_tests import prepared
from transformers_for_tests import LANGUAGE

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.language.sample import drawn, llama, saved
from emoprune.problems.networks.transformers.inference.kv_cache.problem import KvCache
from emoprune.problems.networks.transformers.inference.sample import kv_cache
from emoprune.problems.networks.transformers.inference.standalone.evicting import EvictingCache, cache_argument
from emoprune.records import Split
from emoprune.testing import ProblemConformance


class TestKvCache(ProblemConformance):
    genomes = 2
    test_an_export_writes_files_and_leaves_the_problem_as_it_was = None  # type: ignore[assignment]  # below, once

    def problem(self) -> KvCache:
        return kv_cache(pass_keys=2, key_values=1, context=48, objectives=["loss", "missed", "cache-bytes", "keys"])


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> KvCache:
    own: KvCache = prepared(kv_cache(), tmp_path_factory.mktemp("kv"))
    return own


def test_the_whole_model_loses_what_it_loses_by_itself(ready: KvCache) -> None:
    """With everything kept, what is measured from records is what a plain forward pass says."""
    batch = ready._parts["search"][0]
    ids = torch.cat([batch.read, batch.following], dim=1)
    ready.model.set_attn_implementation("eager")
    with torch.inference_mode():
        logits = ready.model(input_ids=ids).logits[:, batch.read.shape[1] : -1].double()
    expected = -logits.log_softmax(dim=2).gather(2, batch.following[:, 1:, None]).mean()
    ready.model.set_attn_implementation("emoprune-evicting")
    values = ready.values(ready.space.full, Split.SEARCH)
    assert values["loss"] == pytest.approx(float(expected), abs=1e-5)
    assert values["cache-bytes"] == ready._unpruned()["cache-bytes"]


def test_the_unpruned_model_counts_no_keys_beyond_its_sliding_window(tmp_path: Path) -> None:
    model = LANGUAGE["Mistral"]()
    model.config.sliding_window = 8
    own: KvCache = prepared(kv_cache(model=str(saved(tmp_path / "model", model)), pass_keys=0), tmp_path / "run")
    values = own.values(own.space.full, Split.SEARCH)
    assert values["cache-bytes"] == own._unpruned()["cache-bytes"] == 8 * 2 * own._per_key


def test_what_is_taken_from_records_is_what_a_model_that_reads_anew_says(ready: KvCache) -> None:
    genome = ready.references()[1].genome
    batch, policy = ready._parts["search"][0], ready._layout.policy(genome)
    cache = EvictingCache(policy, ready.model.config)
    name = cache_argument(ready.model)
    with torch.inference_mode():
        ready.model(input_ids=batch.read, use_cache=True, **{name: cache})
        live = ready.model(input_ids=batch.following[:, :-1], use_cache=True, **{name: cache}).logits
        logits, counted = ready._followed(genome, Split.SEARCH)[0]
    assert torch.allclose(live, logits, atol=1e-5)
    assert cache.used().tolist() == counted.used.tolist()


def test_bytes_are_those_of_the_keys_that_were_held(ready: KvCache) -> None:
    genome = ready._layout.genome([0.25, 0.5], "h2o")
    values = ready.values(genome, Split.SEARCH)
    assert values["cache-bytes"] == (8 + 16) * 2 * 2 * 8 * 4  # keys by layer; keys and values, 2 heads of 8, 32 bits


def test_where_every_layer_keeps_all_nothing_else_is_said(ready: KvCache) -> None:
    genomes = np.array([[3, 3, 0, 0], [3, 3, 1, 2], [3, 2, 0, 1]])
    assert ready.canonical(genomes).tolist() == [[3, 3, 1, 2], [3, 3, 1, 2], [3, 2, 0, 1]]


def test_records_of_half_precision_take_half_the_room_and_say_nearly_the_same(tmp_path: Path, ready: KvCache) -> None:
    half = prepared(kv_cache(records="float16"), tmp_path)
    genome = ready.references()[1].genome
    expected = ready.values(genome, Split.SEARCH)["loss"]
    assert half.values(genome, Split.SEARCH)["loss"] == pytest.approx(expected, abs=0.02)
    sizes = [sum(path.stat().st_size for path in own._folder.iterdir()) for own in (half, ready)]
    assert sizes[0] < 0.75 * sizes[1]


def test_records_are_taken_from_the_run_when_it_goes_on(tmp_path: Path) -> None:
    first = prepared(kv_cache(), tmp_path)
    path = first._place(Split.SEARCH, 0)
    before = path.stat().st_mtime_ns
    again = prepared(kv_cache(), tmp_path)
    assert path.stat().st_mtime_ns == before
    genome = first.references()[1].genome
    assert again.values(genome, Split.TEST) == first.values(genome, Split.TEST)


def test_questions_are_right_only_if_all_of_the_answer_is(tmp_path: Path) -> None:
    problem = prepared(kv_cache(pass_keys=2, key_values=1, context=48, objectives=["missed", "keys"]), tmp_path)
    place, batch = next(item for item in enumerate(problem._parts["search"]) if item[1].question)
    with torch.inference_mode():
        _, counted = problem._followed(problem.space.full, Split.SEARCH)[place]
        ids = torch.cat([batch.read, batch.following[:, :1]], dim=1)
        written = problem.model.generate(ids, max_new_tokens=counted.right.shape[1], do_sample=False)
    said = written[:, ids.shape[1] :]
    exact = (said[:, : counted.right.shape[1]] == batch.following[:, 1:]).all(dim=1)
    assert counted.right.all(axis=1).tolist() == exact.tolist()
    assert problem.values(problem.space.full, Split.SEARCH)["missed"] in (0.0, 1 / 3, 2 / 3, 1.0)


def test_a_model_that_answers_no_question_is_refused_unless_that_is_accepted(tmp_path: Path) -> None:
    options: dict[str, Any] = {"pass_keys": 2, "context": 60, "objectives": ["missed", "keys"]}
    with pytest.raises(ConfigError, match="answers none of the 2 questions with all of its cache"):
        kv_cache(**options).try_unpruned(tmp_path, 1)
    kv_cache(**options, accept_guessing=True).try_unpruned(tmp_path, 1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"context": 130}, r"expected at most 128 tokens .* found 130 and 8"),
        ({"context": 1}, "context: expected 2 or more, found 1"),
        ({"continued": 1}, "continued: expected 2 or more, found 1"),
        ({"sinks": 4, "window": 5}, r"0\.25 of a context of 32 tokens is 8, fewer than the 4 sinks"),
        ({"budgets": (0.5, 0.25)}, "expected rising shares between 0 and 1"),
        ({"budgets": (0.5, 1.0)}, "expected rising shares between 0 and 1"),
        ({"representatives": (0.5, 0.0)}, "expected rising shares from 0 to 1"),
        ({"selectors": ()}, "selectors: expected one or more, found none"),
        ({"selectors": ("h3o",)}, "selectors: .*'h3o'"),
        ({"selectors": ({"name": "snapkv", "pool": 4},)}, "an odd pool, found 16 and 4"),
        ({"objectives": ["missed", "keys"], "pass_keys": 0}, "missed is of questions"),
        ({"context": 20}, r"context: expected \d+ tokens more than 20, so that a question fits in"),
        ({"search": 400}, "windows, .* are asked for"),
        ({"records": "int8"}, "records: "),
        ({"model": "minilm"}, "'minilm' is made of BertModel; expected a language model"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        kv_cache(**options)


def test_records_that_would_not_fit_are_refused_with_how_much_they_take(tmp_path: Path) -> None:
    model = str(saved(tmp_path / "model", llama(layers=8)))
    with pytest.raises(ConfigError, match=r"would take 2 MB, found a bound of 1; records: float16 halves it"):
        kv_cache(model=model, context=100, search=7, select=7, test=5, record_megabytes=1, pass_keys=0)


def test_a_model_that_attends_by_code_of_its_own_is_refused(tmp_path: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM

    own = drawn(BloomForCausalLM, BloomConfig(vocab_size=28, hidden_size=32, n_layer=2, n_head=4))
    problem = kv_cache(model=str(saved(tmp_path / "bloom", own)))
    with pytest.raises(ConfigError, match="attends by code of its own"):
        problem.prepare(tmp_path / "run", 1)


def test_nothing_is_measured_before_it_was_recorded() -> None:
    with pytest.raises(ContractError, match="nothing is recorded yet"):
        kv_cache().values(np.array([0, 0, 0, 0]), Split.SEARCH)


def test_another_format_than_a_policy_is_refused(ready: KvCache, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format: expected policy, found onnx"):
        ready.export_as(ready.space.full, tmp_path, ["onnx"], verify=False)


@pytest.mark.slow
def test_an_exported_policy_answers_alike_in_a_fresh_process(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", llama(layers=3))
    problem = prepared(kv_cache(model=str(model), context=40), tmp_path / "run")
    genome = problem._layout.genome([0.25, 0.5, 1.0], "h2o", 0.5)
    folder = tmp_path / "export"
    folder.mkdir()
    said = problem.export(genome, folder)
    assert said["keys by layer"] == "10 20 44"
    assert float(said["largest difference of logits"]) < 1e-4
    assert {path.name for path in folder.iterdir()} == {
        "policy.json", "load.py", "evicting.py", "importance.py", "README.md",
    }  # fmt: skip


@pytest.mark.slow
def test_an_export_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = prepared(kv_cache(), tmp_path / "run")
    genome, other = problem._layout.genome([0.25, 0.5], "h2o"), problem._layout.genome([0.5, 0.25], "h2o")
    followed = problem._followed
    monkeypatch.setattr(problem, "_followed", lambda _, split: followed(other, split))
    (tmp_path / "export").mkdir()
    with pytest.raises(ContractError, match="answers otherwise than it was measured"):
        problem.export(genome, tmp_path / "export")
