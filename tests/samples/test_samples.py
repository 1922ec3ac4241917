"""Kept training rows: how hard they are, what a teacher is worth, what is exported and what is refused."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine

import emoprune
from emoprune import plugins
from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.problems.samples.criteria.contract import Evidence
from emoprune.problems.samples.criteria.scores import EL2N, CentroidDistance, Forgetting, GradientNorm
from emoprune.problems.samples.genes import STEPS, SampleGenes
from emoprune.problems.samples.learning import neighbours, one_hot, probabilities, ridge, teacher_of
from emoprune.problems.samples.problem import SamplesProblem
from emoprune.problems.samples.sample import sample
from emoprune.records import Split
from emoprune.testing import ProblemConformance, conformance

NAME = "samples"


class TestSamples(ProblemConformance):
    genomes = 4

    def problem(self) -> Problem:
        return sample()


@pytest.mark.slow
class TestSamplesWithoutATeacher(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return sample(teacher="none", student="knn", objectives=["training-compute"])


for _kind in ("criterion", "reference", "objective", "recovery"):
    for _name, _entry in plugins.serving(_kind, NAME).items():
        if _entry.module.startswith("emoprune.problems.samples"):
            _class = conformance(_kind, _name, NAME, **({"genomes": 2} if _kind != "recovery" else {}))
            _quick = _entry.attr == "Random"
            globals()[f"Test{_entry.attr}"] = _class if _quick else pytest.mark.slow(_class)


def prepared(folder: Path, **options: Any) -> SamplesProblem:
    problem = sample(**options)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def errors(problem: SamplesProblem, split: Split = Split.TEST) -> dict[str, float]:
    """Return what a student errs that learns from each reference."""
    references = problem.references()
    genomes = np.stack([each.genome for each in references])
    rows = problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), split)
    return {each.name: float(row[0]) for each, row in zip(references, rows, strict=True)}  # type: ignore[index]


def blobs(seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    labels = np.arange(120) % 3
    features = 3 * np.eye(3)[labels] + 0.5 * rng.normal(size=(120, 3))
    labels[:6] = (labels[:6] + 1) % 3  # wrong
    return Evidence(features, labels, 3, seed)


@pytest.mark.parametrize("criterion", [EL2N(), GradientNorm(), Forgetting(), CentroidDistance()])
def test_wrong_labels_are_the_hardest_rows(criterion: Any) -> None:
    scores = criterion(blobs())
    assert set(np.argsort(-scores)[:6]) == set(range(6))


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_el2n_lies_between_nought_and_the_root_of_two(seed: int) -> None:
    scores = EL2N()(blobs(seed))
    assert (scores >= 0).all()
    assert (scores <= np.sqrt(2) + 1e-12).all()


def test_el2n_of_a_perfect_prediction_is_nought() -> None:
    evidence = blobs()
    evidence.__dict__["history"] = np.tile(one_hot(evidence.labels, 3), (12, 1, 1))
    assert EL2N()(evidence).max() == 0


def test_ridge_is_the_solution_of_its_equations() -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    found = ridge(inputs, targets, 0.1)
    centred = inputs - inputs.mean(axis=0)
    slope = np.linalg.solve(centred.T @ centred + 5 * np.eye(4), centred.T @ (targets - targets.mean(axis=0)))
    np.testing.assert_allclose(found[:-1], slope, atol=1e-10)
    np.testing.assert_allclose(probabilities(found, inputs).sum(axis=1), 1)


def test_neighbours_say_the_mean_of_the_nearest() -> None:
    known = np.arange(30, dtype=np.float64)[:, np.newaxis]
    found = neighbours(known, one_hot((np.arange(30) >= 15).astype(int), 2), np.array([[0.0], [29.0], [14.6]]))
    np.testing.assert_allclose(found, [[1, 0], [0, 1], [0.5, 0.5]], atol=0.11)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_less_of_a_class_keeps_some_of_the_same_rows_and_canonical_genomes_keep_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(90) % 3)
    genes = SampleGenes({"one": rng.random(90), "two": rng.random(90)}, labels, "abc", rng.random(90), taught=True)
    genome = np.array([rng.integers(0, levels) for levels in genes.space.levels])
    same = genes.canonical(genome[np.newaxis])[0]
    np.testing.assert_array_equal(genes.decoded(same).rows, genes.decoded(genome).rows)
    np.testing.assert_array_equal(genes.canonical(same[np.newaxis])[0], same)
    less = np.where(np.arange(len(genome)) < 4, genome, np.maximum(genome - 3, np.minimum(genome, 1)))
    assert set(genes.decoded(less).rows) <= set(genes.decoded(genome).rows)


def test_no_legal_genome_leaves_one_class_alone(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    alone = problem.space.full.copy()
    alone[5:] = 0
    assert not problem.space.legal(alone[np.newaxis])[0]


def test_teacher_and_scores_see_training_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = sample()
    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        "emoprune.problems.samples.problem.teacher_of",
        lambda name, features, labels, *rest: seen.append(features) or teacher_of(name, features, labels, *rest),
    )
    monkeypatch.setattr(EL2N, "__call__", lambda self, given: seen.append(given.features) or np.ones(len(given.labels)))
    problem.prepare(tmp_path, 1)
    assert len(seen) == 2
    held_out = np.concatenate([features for features, _ in problem._rows.held_out.values()])
    known = {row.tobytes() for row in held_out}
    assert not any(row.tobytes() in known for features in seen for row in features)


def test_scales_come_from_training_rows_alone() -> None:
    problem = sample()
    np.testing.assert_allclose(problem._rows.features.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(problem._rows.features.std(axis=0), 1, atol=1e-9)


def test_the_teacher_helps_random_rows_and_the_hardest_alone_are_worse_than_random(tmp_path: Path) -> None:
    found = errors(prepared(tmp_path, data="digits"))
    assert found["hardest-10"] > found["random-10"]
    shares = (50, 25, 10, 5)
    assert np.mean([found[f"random-teacher-{each}"] for each in shares]) < np.mean(
        [found[f"random-{each}"] for each in shares]
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_teacher_helps_where_few_rows_stay_over_five_seeds_of_mnist(tmp_path: Path) -> None:
    found = []
    for seed in range(5):
        problem = sample(data="mnist-5k")
        (tmp_path / str(seed)).mkdir()
        problem.prepare(tmp_path / str(seed), seed)
        found.append(errors(problem))
    means = pd.DataFrame(found).mean()
    for share in (25, 10, 5):
        assert means[f"random-teacher-{share}"] < means[f"random-{share}"]
    assert means["random-teacher-50"] < means["random-50"] + 0.005, "where most rows stay there is little to gain"
    assert means["hardest-10"] > means["random-10"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_with_a_fifth_of_wrong_labels_the_search_leaves_the_hardest_out(tmp_path: Path) -> None:
    config = {
        "problem": {"name": NAME, "data": "samples_for_tests:mislabelled", "criteria": ["el2n"], "teacher": "none"},
        "search": {"population": 40, "generations": 12, "seed": 1},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="r")
    list(search)
    frame = search.run.pareto
    words = [search.run.descriptions[number] for number in frame.loc[frame["rank"] == 1, "candidate_id"]]
    ends = [int(str(own["window"]).split("to ")[1].split(" %")[0]) for own in words if "window" in own]
    assert len(ends) >= 5
    assert max(ends) <= 80, "a fifth of the labels is wrong, and these are the hardest rows"


def test_an_export_selects_the_same_rows_from_frames_arrays_and_datasets(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    genome = {each.name: each.genome for each in problem.references()}["random-25"]
    said = problem.export(genome, tmp_path / "out")
    samples = runpy.run_path(str(tmp_path / "out" / "samples.py"))["load_samples"](tmp_path / "out")
    data = load_wine(as_frame=True)
    inputs, target = samples.select(data.data, data.target.to_numpy())
    assert len(inputs) == len(target) == said["rows"]
    np.testing.assert_array_equal(inputs.index, samples.rows)
    dataset = torch.utils.data.TensorDataset(torch.arange(len(data.data)))
    assert [int(row[0]) for row in samples.subset(dataset)] == samples.rows.tolist()
    names = np.asarray(data.target_names)[data.target]
    columns = {**{name: data.data[name].to_numpy() for name in data.data}, "target": names}
    samples.check(columns)
    columns["alcohol"] = columns["alcohol"] + 1e-9
    with pytest.raises(ValueError, match=f"found {len(samples.rows)} others, the first in row {samples.rows[0]}"):
        samples.check(columns)


def test_a_file_as_it_is_read_again_has_the_rows_that_were_chosen(tmp_path: Path) -> None:
    frame = load_wine(as_frame=True).frame.assign(constant=1, maker=["one", "other"] * 89)
    frame.loc[::3, "ash"] = np.nan
    frame.to_csv(tmp_path / "wine.csv", index=False)
    problem = prepared(tmp_path, data=str(tmp_path / "wine.csv"), target="target")
    problem.export(problem.space.full, tmp_path / "out")
    samples = runpy.run_path(str(tmp_path / "out" / "samples.py"))["load_samples"](tmp_path / "out")
    again = pd.read_csv(tmp_path / "wine.csv")
    samples.check(again)
    with pytest.raises(ValueError, match="found none called maker"):
        samples.check(again.drop(columns="maker"))
    with pytest.raises(ValueError, match=r"found \d+ others"):
        samples.check(again.assign(target=again["target"].to_numpy()[::-1]))
    with pytest.raises(ValueError, match="expected all rows that were chosen from, at least"):
        samples.select(np.zeros(3))


@pytest.mark.slow
def test_a_student_network_is_trained_with_the_teacher_of_the_genome(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    by_name = {each.name: each.genome for each in problem.references()}
    found = {}
    for name in ("random-25", "random-teacher-25"):
        folder = tmp_path / name
        folder.mkdir()
        found[name] = problem.recover(by_name[name], folder, 1, method={"name": "distil", "epochs": 15}).values["test"]
        assert (folder / "student.safetensors").is_file()
    assert found["random-25"]["rows"] == found["random-teacher-25"]["rows"]
    assert max(own["error"] for own in found.values()) < 0.3


def test_a_teacher_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    count = len(sample()._rows.labels)
    np.save("good.npy", np.full((count, 3), 2.0))
    np.save("short.npy", np.ones((5, 3)))
    (tmp_path / "torn.npy").write_bytes(b"not an array")
    assert prepared(tmp_path, teacher="good.npy")._teacher == pytest.approx(1 / 3)
    for name, complaint in (
        ("missing.npy", r"expected ridge, none, or a \.npy file here or beside the config, found 'missing\.npy'"),
        ("short.npy", rf"expected probabilities of shape \({count}, 3\).*found shape \(5, 3\)"),
        ("torn.npy", r"torn\.npy cannot be read as an array"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            sample(teacher=name)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"data": "samples_for_tests:alone"}, "found one class, 'yes'"),
        ({"data": "planted"}, "expected classes with several rows each"),
        ({"data": "wine", "components": 1}, "components: expected 2 to 1,000, found 1"),
        ({"data": "wine", "penalty": 0.0}, r"penalty: expected a number above 0, found 0\.0"),
        ({"data": "wine", "criteria": []}, "criteria: expected one or more"),
        ({"data": "wine", "criteria": ["el2"]}, "criteria: .*'el2'"),
        ({"data": "wine", "criteria": [{"name": "el2n", "epoch": 99}]}, "epoch: expected 1 to 12, found 99"),
        ({"data": "wine", "references": [{"name": "random", "percentages": [33]}]}, "multiples of 5 from 5 to 95"),
    ],
)
def test_rows_that_cannot_be_pruned_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        SamplesProblem(**options)


def test_a_picture_shows_which_difficulties_stay(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    picture = problem.picture({each.name: each.genome for each in problem.references()}["hardest-25"])
    assert "by el2n, the hardest on the right" in picture.svg
    assert STEPS == 20
