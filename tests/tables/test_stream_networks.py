"""The light convolution network of a stream: what it computes, whose channels go, and what is exported."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tables_for_tests import stream, table

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.convolution import Network, load_network
from emoprune.problems.tables.streams.convolution import Convolution
from emoprune.problems.tables.streams.genes import PolicyGenes
from emoprune.problems.tables.streams.problem import TabularStream
from emoprune.records import Split

QUICK = {"name": "convolution", "channels": [4, 3], "steps": 10}


def prepared(folder: Path, **options: Any) -> TabularStream:
    given = {"data": "tables_for_tests:stream", "window": 200, "learner": QUICK, "costs": ["channels"], **options}
    problem = TabularStream(**given)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def fitted(kept: tuple[int, int] | None, steps: int = 10) -> tuple[Network, np.ndarray]:
    data = table(stream(400))
    computed, rows = Computed(data), np.arange(400)
    block = Block("all", rows[:200], rows[200:])
    learner = Convolution((4, 3), steps=steps)
    learner = learner if kept is None else learner.narrowed(kept)
    inputs = computed.matrix(data.terms, block, block.scored)
    return learner.fitted(computed, block, data.terms, 1).network, inputs


def test_what_numpy_predicts_is_what_torch_computes() -> None:
    network, inputs = fitted(None)
    own = {name: torch.from_numpy(np.asarray(each)) for name, each in network.weights.items()}
    seen = ((torch.from_numpy(inputs) - own["mean"]) / own["deviation"])[:, None, :]
    for layer in ("first", "second"):
        seen = torch.relu(torch.nn.functional.conv1d(seen, own[layer], own[f"{layer}_bias"], padding=1))
    scores = seen.mean(dim=2) @ own["head"].T + own["head_bias"]
    np.testing.assert_allclose(network.predict(inputs), torch.softmax(scores, dim=1).numpy(), atol=1e-10)
    np.testing.assert_allclose(network.predict(inputs[:1]), network.predict(inputs)[:1], atol=1e-12)


def test_the_channels_with_the_largest_filters_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, _ = fitted(None)
    monkeypatch.setattr(Convolution, "_train", lambda *given, **options: None)
    untrained, _ = fitted(None)
    narrow, _ = fitted((2, 1))
    assert wide.channels == (4, 3)
    assert narrow.channels == (2, 1)
    sizes = np.abs(untrained.weights["first"]).sum(axis=(1, 2))
    largest = np.sort(np.argsort(-sizes)[:2])
    np.testing.assert_allclose(narrow.weights["first"], untrained.weights["first"][largest])


def test_gaps_count_as_the_mean() -> None:
    network, inputs = fitted(None)
    torn, filled = inputs.copy(), inputs.copy()
    torn[0, 3], filled[0, 3] = np.nan, network.weights["mean"][3]
    np.testing.assert_allclose(network.predict(torn), network.predict(filled))


def test_channels_are_genes_beside_the_policy_and_other_learners_have_none() -> None:
    genes = PolicyGenes(20, (4, 3))
    assert len(genes.space) == 6
    assert genes.widths(genes.unpruned) == (4, 3)
    assert genes.widths(np.array([19, 2, 3, 1, 0, 2])) == (1, 3)
    assert genes.canonical(np.array([[19, 2, 3, 1, 0, 2]])).tolist() == [[19, 0, 0, 0, 0, 2]]
    assert len(PolicyGenes(20).space) == 4


def test_a_row_has_the_channels_that_its_genome_keeps(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    genomes = np.array([[4, 3, 3, 0, 3, 2], [4, 3, 3, 0, 0, 1]])
    rows = problem.evaluate(genomes, np.zeros(2, dtype=np.uint64), Split.SELECT)
    assert [row[1] for row in rows] == [7, 3]  # type: ignore[index]
    assert problem.describe(genomes[1])["channels"] == "1 and 2"


def test_the_network_of_the_last_window_to_search_on_is_exported(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    problem.export(np.array([4, 3, 3, 0, 1, 1]), tmp_path / "out")
    network = runpy.run_path(str(tmp_path / "out" / "convolution.py"))["load_network"](tmp_path / "out")
    assert network.channels == (2, 2)
    assert network.predict(np.zeros((3, 5))).shape == (3, 2)
    (tmp_path / "out" / "network.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match=r"expected format 'emoprune.convolution/1', found 'other'"):
        load_network(tmp_path / "out")


@pytest.mark.slow
def test_a_network_on_the_columns_that_matter_follows_the_drift_better_than_on_all(tmp_path: Path) -> None:
    problem = prepared(tmp_path, learner={"name": "convolution", "steps": 40}, metric="error")
    genomes = {each.name: each.genome for each in problem.references()}
    both = np.stack([genomes["unpruned"], genomes["drift-5"]])
    whole, drift = problem.evaluate(both, np.zeros(2, dtype=np.uint64), Split.TEST)
    assert drift[0] < whole[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("learner", "complaint"),
    [
        ({"name": "convolution", "channels": [0, 4]}, "expected channels, steps and a rate above 0"),
        ({"name": "convolution", "layers": 3}, "layers: unknown option"),
        ("convolutions", "convolutions"),
    ],
)
def test_a_network_that_cannot_be_made_is_refused(learner: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        TabularStream(data="tables_for_tests:stream", window=200, learner=learner)


def test_a_picture_shows_which_columns_are_kept_after_each_window(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    picture = problem.picture(np.array([4, 3, 3, 0, 3, 2]))
    assert picture.svg.count('fill="#0b6bcb"') == 5 * 12
    assert "20 columns down, 12 windows across" in picture.svg
