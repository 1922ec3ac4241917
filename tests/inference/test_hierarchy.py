"""Keys that are found chunk by chunk: all where all may stay, counted one by one, and found where keys are alike."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods_for_tests import prepared

from emoprune.errors import ConfigError
from emoprune.problems.language.sample import llama
from emoprune.problems.networks.transformers.inference.hierarchy.problem import KvHierarchy
from emoprune.problems.networks.transformers.inference.sample import kv_hierarchy
from emoprune.problems.networks.transformers.inference.standalone.evicting import (
    EvictingCache,
    Policy,
    cache_argument,
    use,
)
from emoprune.problems.networks.transformers.inference.standalone.hierarchy import Hierarchy
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.records import Split
from emoprune.testing import ProblemConformance

WIDTH = 8


@pytest.mark.slow
class TestKvHierarchy(ProblemConformance):
    genomes = 2
    test_an_export_writes_files_and_leaves_the_problem_as_it_was = None  # type: ignore[assignment]  # below, once

    def problem(self) -> KvHierarchy:
        return kv_hierarchy(objectives=["loss", "missed", "keys", "keys-scored"])


def kept_of(hierarchy: Hierarchy, scores: torch.Tensor) -> tuple[set[int], float]:
    """Return which keys of a prompt one query attends to, of one head and these scores, and how many were scored."""
    keys = len(scores)
    kept, _, scored = hierarchy.kept(
        torch.zeros(1, 1, 1, WIDTH),
        torch.zeros(1, 1, keys, WIDTH),
        scores.view(1, 1, 1, keys),
        torch.ones(1, 1, keys, dtype=torch.bool),
        torch.ones(1, keys, dtype=torch.bool),
    )
    return set(kept[0, 0, 0].nonzero().flatten().tolist()), float(scored)


def slowly(hierarchy: Hierarchy, scores: list[float]) -> tuple[set[int], int]:
    """Return the same by going through it key by key, each look at a score counted."""
    looks = 0

    def look(place: int) -> float:
        nonlocal looks
        looks += 1
        return scores[place]

    def representative(chunk: list[int]) -> float:
        if hierarchy_size == 1:
            return look(chunk[0])
        start, half, best = 0, hierarchy_size // 2, -math.inf
        while half:
            sides = [start, start + half]
            found = [look(chunk[side]) if side < len(chunk) else -math.inf for side in sides]
            start, best = (sides[1] if found[1] > found[0] else sides[0]), max(found)
            half //= 2
        return best

    left, stages = list(range(len(scores))), hierarchy.chunks
    for stage, hierarchy_size in enumerate(stages):
        wanted = math.ceil(len(scores) * hierarchy.share - 1e-9)
        keep = math.ceil(wanted * hierarchy.widening ** (len(stages) - 1 - stage) - 1e-9)
        if len(left) <= keep:
            continue
        chunks = [left[start : start + hierarchy_size] for start in range(0, len(left), hierarchy_size)]
        ranked = sorted(chunks, key=lambda chunk: -representative(chunk))
        left = sorted(place for chunk in ranked[: math.ceil(keep / hierarchy_size)] for place in chunk)
    ends = {*range(hierarchy.sinks), *range(len(scores) - hierarchy.window, len(scores))}
    kept = set(left) | ends
    return kept, looks + len(kept)


@settings(max_examples=30)
@given(
    st.integers(0, 10_000),
    st.integers(5, 70),
    st.sampled_from([(8, 2, 1), (16, 4), (4,), (1,)]),
    st.sampled_from([0.1, 0.3, 0.7]),
    st.sampled_from([1.0, 1.5, 3.0]),
)
def test_keys_that_are_scored_are_those_that_are_looked_at_one_by_one(
    seed: int, keys: int, chunks: tuple[int, ...], share: float, widening: float
) -> None:
    scores = torch.randn(keys, generator=torch.Generator().manual_seed(seed))
    hierarchy = Hierarchy(share, chunks, widening, 1, 2)
    assert kept_of(hierarchy, scores) == slowly(hierarchy, scores.tolist())


def recall(correlation: float, keep: int) -> tuple[float, float]:
    """Return the share of the true best keys that are found, and that random chunks would hold, on average."""
    drawn = torch.Generator().manual_seed(1)
    found, keys = [], 512
    for _ in range(12):
        noise = torch.randn(keys, WIDTH, generator=drawn)
        rows = [noise[0]]
        for place in range(1, keys):
            rows.append(correlation * rows[-1] + (1 - correlation**2) ** 0.5 * noise[place])
        scores = torch.stack(rows) @ torch.randn(WIDTH, generator=drawn)
        kept, _ = kept_of(Hierarchy(keep / keys, (16, 4), 4.0, 0, 1), scores)
        best = set(scores.topk(keep).indices.tolist())
        found.append(len(kept & best) / keep)
    return float(np.mean(found)), keep / keys


def test_neighbours_that_are_alike_are_found_and_those_that_are_not_hardly_better_than_by_chance() -> None:
    """Locality is what the method goes by: both are shown."""
    alike, chance = recall(0.95, 64)
    unlike, _ = recall(0.0, 64)
    assert alike > 3 * chance
    assert alike > unlike + 0.15
    assert unlike < 0.5


def tokens() -> torch.Tensor:
    return torch.randint(4, 28, (2, 28), generator=torch.Generator().manual_seed(0))


def followed(model: Any, thin: Hierarchy, pieces: int) -> tuple[torch.Tensor, EvictingCache]:
    policy = Policy((1.0, 1.0), 0, 1, 0.0, Recent(), (thin, thin))
    cache, ids = EvictingCache(policy, model.config), tokens()
    with torch.inference_mode():
        logits = [
            model(input_ids=each, use_cache=True, **{cache_argument(model): cache}).logits
            for each in (ids[:, :16], *ids[:, 16:].chunk(pieces, dim=1))
        ]
    return torch.cat(logits, dim=1), cache


def test_where_all_keys_may_stay_attention_is_the_models_own() -> None:
    model = llama()
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = model(input_ids=tokens()).logits
    use(model)
    found, cache = followed(model, Hierarchy(1.0, (8, 2), 2.0, 1, 3), 1)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
    assert cache.scored().tolist() == cache.used().tolist(), "nothing was probed"


def test_tokens_that_follow_at_once_attend_as_one_by_one() -> None:
    model = llama()
    use(model)
    (at_once, one), (singly, other) = (followed(model, Hierarchy(0.25, (4, 1), 2.0, 1, 3), n) for n in (1, 12))
    assert torch.allclose(at_once, singly, atol=1e-4)
    assert torch.allclose(one.scored(), other.scored())
    assert (one.used() < 16 + 6.5).all()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> KvHierarchy:
    own: KvHierarchy = prepared(kv_hierarchy(), tmp_path_factory.mktemp("hierarchy"))
    return own


def test_a_layer_that_keeps_all_keys_has_no_stages(ready: KvHierarchy) -> None:
    genomes = np.array([[2, 1, 0, 0, 0], [2, 2, 0, 0, 0]])
    assert ready.canonical(genomes).tolist() == [[2, 1, 1, 0, 0], ready.space.full.tolist()]
    assert ready.describe(genomes[0])["chunks by stage"] == "none 8-2"


def test_fewer_keys_are_attended_to_where_fewer_stay(ready: KvHierarchy) -> None:
    few, whole = (ready.values(ready._layout.genome(level, 1, 0), Split.SEARCH) for level in (0, 2))
    assert ready.objectives[1].name == "keys-scored"
    assert few["loss"] != whole["loss"]
    assert whole["keys-scored"] == pytest.approx(ready._unpruned()["keys-scored"], rel=0.05)


def test_large_chunks_save_much_of_what_would_be_scored() -> None:
    scores = torch.randn(512, generator=torch.Generator().manual_seed(0))
    _, scored = kept_of(Hierarchy(0.05, (64, 16, 4), 2.0, 4, 8), scores)
    assert scored < 0.6 * 512


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"shares": (0.5, 1.0)}, "shares: expected rising shares between 0 and 1"),
        ({"stages": ((6, 2),)}, "stages: expected lists of falling powers of two"),
        ({"stages": ((2, 4),)}, "stages: expected lists of falling powers of two"),
        ({"stages": ()}, "stages: expected one or more lists"),
        ({"widenings": (0.5,)}, "widenings: expected rising numbers of 1 or more"),
        ({"window": 0}, "sinks, window: expected at least 0 sinks and a window of 1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        kv_hierarchy(**options)


@pytest.mark.slow
def test_an_exported_policy_answers_alike_in_a_fresh_process(tmp_path: Path, ready: KvHierarchy) -> None:
    said = ready.export(ready._layout.genome(1, 0, 1), tmp_path)
    assert float(said["largest difference of logits"]) < 1e-4
    assert (tmp_path / "hierarchy.py").exists()
