"""References that name a paper keep the units that the paper would."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoprune.problems.networks.transformers.criteria.gates import HeadGates
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.prepare import evidence_of
from emoprune.problems.networks.transformers.references.greedy_heads import GONE
from emoprune.problems.networks.transformers.repair.k_prune import k_pruned
from emoprune.problems.networks.transformers.sample import heads_and_neurons
from emoprune.space import IntArray

BITS = {"genes": "bits", "whole_groups": False}
GATES = {"criterion": "head-gates", "levels": 16, "whole_groups": False}


def prepared(path: Path, **options: Any) -> HeadsAndNeurons:
    problem = heads_and_neurons(**options)
    problem.prepare(path, 1)
    return problem


def kept(problem: HeadsAndNeurons, genome: IntArray) -> list[list[int]]:
    return [plan.heads.tolist() for plan in problem.plans(genome)]


@pytest.mark.parametrize("options", [GATES, BITS])
def test_greedy_heads_keeps_the_heads_of_the_highest_gates(tmp_path: Path, options: dict[str, Any]) -> None:
    problem = prepared(tmp_path, references=["greedy-heads"], **options)
    gates = HeadGates()(evidence_of(problem.open(), 1))[::2]
    number = sum(map(len, gates))
    lowest = sorted((float(score), layer, head) for layer, own in enumerate(gates) for head, score in enumerate(own))
    found = {each.name: each.genome for each in problem.references()}
    reached = [percent for percent in GONE if f"greedy-heads-{percent}-gone" in found]
    assert len(reached) >= 2
    for percent in reached:
        heads = kept(problem, found[f"greedy-heads-{percent}-gone"])
        gone = number * percent // 100
        assert number - sum(map(len, heads)) == gone
        expected = [set(range(len(own))) for own in gates]
        for _, layer, head in lowest:
            if number - sum(map(len, expected)) < gone and len(expected[layer]) > 1:
                expected[layer].remove(head)
        assert [set(own) for own in heads] == expected


def test_greedy_heads_is_left_out_with_a_reason_where_a_genome_would_keep_other_heads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "emoprune"):
        # The random order is that of its seed, and is not that of the gates.
        problem = prepared(tmp_path, references=["greedy-heads"], **{**GATES, "criterion": "random"})
    assert {each.name for each in problem.references()}.isdisjoint({"greedy-heads-40-gone", "greedy-heads-60-gone"})
    assert "others than the paper keeps; with criterion: head-gates, or genes: bits" in caplog.text


def test_the_reference_k_prune_keeps_the_units_of_its_own_search_within_each_percentage(tmp_path: Path) -> None:
    problem = prepared(tmp_path, references=["k-prune"], percentages=[90, 70], objectives=["loss", "macs"], **BITS)
    found = {each.name: each.genome for each in problem.references()}
    assert {"k-prune-90", "k-prune-70"} <= set(found)
    for percent in (90, 70):
        genome = found[f"k-prune-{percent}"]
        assert percent / 100 - 0.2 < problem.describe(genome)["macs share"] <= percent / 100
    counts = [len(plan.heads) + len(plan.neurons) for plan in problem.plans(found["k-prune-70"])]
    assert len(set(counts)) > 1  # what each layer keeps is the search's own answer


def test_k_prune_says_that_a_genome_of_levels_has_its_counts_alone(tmp_path: Path) -> None:
    problem = prepared(tmp_path, references=["k-prune"], percentages=[70], criterion="random")
    assert [each.name for each in problem.references()] == ["unpruned", "k-prune-counts-70"]


def test_k_prune_takes_query_heads_of_one_key_and_value_together(tmp_path: Path) -> None:
    problem = prepared(tmp_path, references=["k-prune"], percentages=[60], genes="bits")
    own = problem.open()
    together = [problem._layout.together(group) for group in range(len(own.anatomy.units))]
    assert max(together) > 1
    _, plans = k_pruned(own, evidence_of(own, 1).costs, 0.5, 1, together)
    for plan, size in zip(plans, together[::2], strict=True):
        first = plan.heads.reshape(-1, size)
        assert (first == first[:, :1] + np.arange(size)).all()
    assert [each.name for each in problem.references()] == ["unpruned", "k-prune-60"]
