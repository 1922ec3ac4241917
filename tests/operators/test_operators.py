"""What all operators have in common: plain options, no state, a name to find them by."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from pydantic import ValidationError

from emoprune.contracts import about_of
from emoprune.operators import cost, crossover, deletion, mutation, repair, sampling, seeding
from emoprune.plugins import OPERATOR_KINDS, available, build, checked_options

OPERATORS: dict[Callable[..., Any], dict[str, Any]] = {
    sampling.RandomSampling: {"density": 0.5},
    sampling.LatinSampling: {},
    deletion.DeletionSampling: {"least": 0.1, "most": 0.3, "steps": 5},
    deletion.DeletionMutation: {"most": 2},
    seeding.Neighbours: {"share": 0.2, "rate": 0.1, "reach": 3},
    seeding.Plain: {},
    crossover.UniformCrossover: {"rate": 0.8, "share": 0.1},
    crossover.OnePointCrossover: {"rate": 1},
    crossover.TwoPointCrossover: {"rate": 0.0},
    mutation.FlipMutation: {"rate": 0.1, "at_least_one": True},
    mutation.StepMutation: {"rate": None, "reach": 2, "at_least_one": True},
    mutation.ResampleMutation: {"rate": 0.1, "at_least_one": True},
    mutation.ByKindMutation: {"rate": 0.1, "reach": 2, "at_least_one": True},
    repair.Legal: {},
    repair.LockedGenes: {},
    repair.Floors: {},
    repair.SlotOrder: {},
    cost.CostBound: {"share": 0.5},
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_takes_all_its_options_from_plain_data(operator: Callable[..., Any]) -> None:
    options = OPERATORS[operator]
    built = operator(**checked_options(operator, options).model_dump())
    assert {field.name: getattr(built, field.name) for field in fields(built)} == options


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_refuses_an_option_it_does_not_have(operator: Callable[..., Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        checked_options(operator, {**OPERATORS[operator], "mutants": 1})


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_cannot_change_and_survives_pickling(operator: Callable[..., Any]) -> None:
    built = operator(**OPERATORS[operator])
    assert pickle.loads(pickle.dumps(built)) == built  # noqa: S301  # only what was just dumped is loaded
    for field in fields(built):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{field.name}'"):
            setattr(built, field.name, None)


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_says_what_it_is_and_serves_all_problems(operator: Callable[..., Any]) -> None:
    own = about_of(operator)
    assert own is not None
    assert (own.family, own.granularity, own.serves) == ("search", ("genomes",), ())


def test_every_operator_is_installed_under_a_name() -> None:
    installed = {entry.load() for kind in OPERATOR_KINDS for entry in available(kind).values()}
    assert installed >= set(OPERATORS)


def test_an_installed_operator_is_built_by_name() -> None:
    assert build("mutation", "step", {"reach": 4}) == mutation.StepMutation(reach=4)
