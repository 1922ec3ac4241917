"""Each example runs, with a model drawn at random in the place of its own, from its config to a front."""

from __future__ import annotations

from pathlib import Path

import pytest

import emoprune
from emoprune.problems.networks.transformers.inference import sample

SMALL = ["search.population=4", "search.generations=2", "evaluation.backend=serial"]
SIZES = ["problem.search=2", "problem.select=2", "problem.test=2"]
TEXTS = [*SIZES, "problem.context=40", "problem.continued=6"]


def given(name: str) -> list[str]:
    """Return what is changed of an example, so that it takes a second."""
    if name == "mnist-tokens":
        own = [f"problem.model={sample._vit()}", f"problem.data={sample.__name__}:images", "problem.layers=[1, 2]"]
        return [*own, "problem.accept_guessing=true"]
    budgets = ["problem.budgets=[0.4, 0.6]"] if name == "smollm2-cache" else []
    return [*TEXTS, *budgets, f"problem.model={sample.sample_model()}", f"problem.data={sample._words()}"]


@pytest.mark.parametrize(
    "name",
    [
        "smollm2-cache",
        "mnist-tokens",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("smollm2-attention", "smollm2-hierarchy")),
    ],
)
def test_an_example_is_searched_from_its_config_to_a_front(name: str, tmp_path: Path) -> None:
    generations = list(emoprune.search(name, overrides=[*SMALL, *given(name)], runs=tmp_path, name="example"))
    table = emoprune.open_run(tmp_path / "example").pareto
    assert len(generations) == 2
    assert (table["rank"] == 1).any()
    assert "unpruned" in set(table["name"])
    assert len(set(table["name"])) > 4, "what a user would have picked stands beside"
