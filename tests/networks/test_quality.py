"""What says how good a network is: a stranger's measure as well as a built-in one, also where more of it is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from methods_for_tests import target

import emoprune
from emoprune.commands.audit import audit
from emoprune.contracts import Direction, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.evaluation.objectives.contract import Seen
from emoprune.problems.networks.evaluation.objectives.loss import Loss
from emoprune.problems.networks.subnetworks.problem import Subnetworks
from emoprune.problems.networks.subnetworks.sample import sample as subnetworks
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE
from emoprune.records import Split

MINE = __name__
SERVES = ("channels", "subnetworks")
UNPRUNED = {"macs": 1000.0, "parameters": 200.0, "bytes": 900.0}
SMALL = {**SAMPLE, "widths": 4, "criterion": "l1"}
EAGLE_EYE = {"name": "eagle-eye", "percentages": [50], "candidates": 6, "tries": 500}
SENSITIVITY = {"name": "sensitivity", "percentages": [50]}
QUICK = ("epochs=0.5", "repeats=2", "siblings=2", "training_images=32")


@about("measurement", ["network"], serves=SERVES, cost="one pass over the images")
class LogLikelihood:
    """Mean logarithm of the labels' probabilities: the loss the other way round."""

    unit = "nats"
    direction = Direction.MAXIMISE
    needs = "outputs"

    def __call__(self, seen: Seen) -> float:
        return -Loss()(seen)


@about("measurement", ["network"], serves=SERVES, cost="one pass over the images")
class Stable(LogLikelihood):
    """Asks for outputs, and says that it does not tell how good they are."""

    quality = False


@about("measurement", ["network"], serves=SERVES, cost="nothing is run")
class Filled:
    """How many weights per multiplication; runs nothing, and says that less of it is good."""

    unit = ""
    direction = Direction.MINIMISE
    needs = "network"
    quality = True

    def __call__(self, seen: Seen) -> float:
        assert not seen.network.training
        weights = sum(parameter.numel() for parameter in seen.network.parameters())
        return weights / seen.counts["macs"]


class Unsure(LogLikelihood):
    quality = "yes"


def quality_of(*objectives: str) -> str | None:
    found = Measures.of(objectives, {}, UNPRUNED, "channels").quality
    return None if found is None else found.name


def test_the_first_objective_that_says_how_good_a_network_is_is_the_quality() -> None:
    assert quality_of("macs", "loss", "error") == "loss"
    assert quality_of("macs", target(LogLikelihood), "error") == "LogLikelihood"
    assert quality_of("macs", target(Stable), "error") == "error"
    assert quality_of("pq-index", target(Filled), "error") == "Filled"
    assert quality_of("macs", "pq-index", target(Stable)) is None
    with pytest.raises(ContractError, match="objective: quality: expected true or false, found 'yes'"):
        quality_of(target(Unsure))


def test_what_is_measured_for_references_is_picked_by_what_is_to_be_maximised(tmp_path: Path) -> None:
    picked = {}
    for name in ("loss", target(LogLikelihood)):
        problem = Channels(**SMALL, objectives=["macs", name], references=[EAGLE_EYE, SENSITIVITY])
        problem.prepare(tmp_path / name.replace(":", "-"), 1)
        problem.setup("cpu", 1)
        genomes = np.concatenate([problem.references()[0].genome[np.newaxis], problem.starts()])
        rows = np.array(problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SEARCH))
        picked[name] = {each.name: each.genome.tolist() for each in problem.surveyed(genomes, rows)}
    assert picked["loss"] == picked[target(LogLikelihood)]
    inside = np.abs(rows[:, 0] / rows[0, 0] - 0.5) <= 0.005
    chosen = rows[genomes.tolist().index(picked["loss"]["eagle-eye-50"])]
    assert chosen[1] == rows[inside, 1].max() > rows[inside, 1].min()


def test_parts_are_joined_by_what_is_to_be_maximised(tmp_path: Path) -> None:
    found = []
    for name in ("loss", target(LogLikelihood)):
        problem = subnetworks(objectives=[name], references=["uniform", "erk"])
        problem.prepare(tmp_path / name.replace(":", "-"), 1)
        found.append(problem)
    one, other = (problem._choices for problem in found)
    assert one is not None
    assert other is not None
    assert [[each.name for each in own] for own in one.members] == [
        [each.name for each in own] for own in other.members
    ]
    assert one.starts.tolist() == other.starts.tolist()
    impairments = [[each.impairment for own in choices.members for each in own] for choices in (one, other)]
    assert impairments[0] == pytest.approx(impairments[1])
    assert max(map(abs, impairments[0])) > 0


def test_parts_without_an_objective_that_says_how_good_they_are_are_refused() -> None:
    with pytest.raises(ConfigError, match="objectives: expected one of error, loss, kl among them, found macs, Stable"):
        Subnetworks(**SMALL, objectives=["macs", target(Stable)])


def audited(folder: Path, name: str) -> dict[str, Any]:
    """Return what `emoprune audit` finds on the front of a small search for `name` and macs."""
    config = {
        "problem": {"name": "channels", **SMALL, "references": ["uniform"], "objectives": [name, "macs"]},
        "search": {"population": 6, "generations": 1, "seed": 3},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=folder, name=name.replace(":", "-"))
    for _ in search:
        pass
    return audit(search.run, candidates=4, options=QUICK)


def test_an_audit_holds_what_is_to_be_maximised_against_the_trained_networks(tmp_path: Path) -> None:
    of_loss, of_likelihood = (audited(tmp_path, name) for name in ("loss", target(LogLikelihood)))
    assert of_loss["findings"] == of_likelihood["findings"]
    for title, rows in of_loss["tables"].items():
        for one, other in zip(rows, of_likelihood["tables"][title], strict=True):
            for column in ("on search, as searched", "on test, trained"):
                assert other[f"LogLikelihood {column}"] == -one[f"loss {column}"]
            assert "loss on test, trained" not in other


def test_an_audit_shows_the_whole_network_to_a_quality_that_looks_at_it(tmp_path: Path) -> None:
    rows = audited(tmp_path, target(Filled))["tables"]["along the front"]
    assert all(row["Filled on test, trained"] == row["Filled on search, as searched"] > 0 for row in rows)
