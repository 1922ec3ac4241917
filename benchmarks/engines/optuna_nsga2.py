"""Optuna's NSGAIISampler in memory, a parameter per bit, one trial after the other as its API has it."""

from __future__ import annotations

import optuna
from shared.judging import Judge, Plan

__all__ = ["run", "trial"]


def run(plan: Plan, judge: Judge) -> None:
    """Search as planned; a first generation of random trials, then `evaluations` bred ones."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(population_size=plan.population, seed=plan.seed)
    study = optuna.create_study(directions=["minimize"] * len(plan.landscape.worst), sampler=sampler)
    for number in range(plan.population + plan.evaluations):
        if number == plan.population:
            judge.begin()
        trial(study, plan.landscape.genes, judge)


def trial(study: optuna.Study, genes: int, judge: Judge) -> None:
    """Ask, measure and tell one genome."""
    asked = study.ask()
    genome = [asked.suggest_int(f"gene{i}", 0, 1) for i in range(genes)]
    study.tell(asked, judge.scores([genome])[0].tolist())
