"""Genetic algorithms that go by one reward each, a sweep of weights: what a front is made of without dominance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Objective, Paper, about
from emoprune.contracts.algorithm import Breeding, Measured, Parents, Proposed
from emoprune.errors import ConfigError, ContractError
from emoprune.space import IntArray

__all__ = ["RewardSweep"]

TRIES = 30  # of making new children, before a short generation is accepted

FloatArray = NDArray[np.float64]


@about(
    "search",
    ["genomes"],
    cost="a sort by each reward per generation",
    papers=[Paper("Rewarded meta-pruning: Meta Learning with Rewards for Channel Pruning", "2301.11063")],
)
class RewardSweep:
    """Several populations, each of which goes by one weighted sum of the objectives, share the evaluations.

    Objectives are scaled by what generation 0 spans. A sum has its optimum on the convex hull of a front, so that a
    sweep leaves out where the front bulges. Source: Shibu et al., Rewarded meta-pruning, arXiv 2301.11063, which weighs
    accuracy and computation with coefficients; the form of the reward is our own.

    Args:
        rewards: How many weighted sums, evenly from one objective alone to the other; of more than two objectives their
            weights are drawn.

    Raises:
        ConfigError: There are fewer than two.
    """

    ended = None

    def __init__(self, rewards: int = 5) -> None:
        if rewards < 2:
            raise ConfigError(f"reward-ga: rewards: expected 2 or more, found {rewards}")
        self._rewards = rewards
        self._begun: Breeding | None = None
        self._known: dict[int, tuple[IntArray, FloatArray, float]] = {}  # by id: genome, objectives, violation
        self._pools: list[list[int]] = [[] for _ in range(rewards)]
        self._spans: tuple[FloatArray, FloatArray] | None = None
        self._whose: dict[bytes, int] = {}  # of what was proposed last, by the genome's key

    def check(self, objectives: Sequence[Objective]) -> None:
        """Take any objectives."""

    def begin(self, breeding: Breeding) -> None:
        """Take in what is searched."""
        self._begun = breeding

    @property
    def _search(self) -> Breeding:
        if self._begun is None:
            raise ContractError("reward-ga: call begin(breeding) before anything else")
        return self._begun

    @property
    def turn(self) -> int | None:
        """As many as the population has members."""
        return self._search.population

    @property
    def population(self) -> IntArray:
        """The ids of all populations' members, each once."""
        return np.unique(np.array([number for pool in self._pools for number in pool], dtype=np.int64))

    @property
    def _size(self) -> int:
        return max(2, self._search.population // self._rewards)

    def _weights(self) -> FloatArray:
        """Return the weights, shape (rewards, objectives)."""
        count = len(self._search.objectives)
        if count == 2:
            first = np.linspace(0, 1, self._rewards)
            return np.column_stack([first, 1 - first])
        return np.random.default_rng(0).dirichlet(np.ones(count), self._rewards)

    def _sums(self, ids: Sequence[int], reward: int) -> FloatArray:
        """Return what a reward makes of genomes, to minimise, shape (ids,)."""
        assert self._spans is not None  # noqa: S101  # set with the first genomes; narrows the type
        low, high = self._spans
        values = np.array([self._known[number][1] for number in ids])
        scaled = (values - low) / np.where(high > low, high - low, 1.0)
        return np.asarray(scaled @ self._weights()[reward], dtype=np.float64)

    def ask(self, rng: np.random.Generator) -> Proposed:  # noqa: ARG002  # the breeding draws
        """Return children of each population, none of them measured before."""
        genes, self._whose = len(self._search.space), {}
        made = [Proposed.parentless(np.zeros((0, genes), dtype=np.int64))]
        if not any(self._pools):
            return made[0]
        for _ in range(TRIES):
            missing = self._search.population - sum(map(len, made))
            if missing <= 0:
                break
            for reward in range(self._rewards):
                tried = self._search.children(self._parents(reward), -(-missing // self._rewards))
                room = self._search.population - sum(map(len, made))
                new = self._search.first_new(tried.genomes, room)
                made.append(Proposed(tried.genomes[new], tried.parents[new]))
                self._whose |= dict.fromkeys(self._search.space.keys(tried.genomes[new]), reward)
        genomes, parents = (np.concatenate([getattr(own, name) for own in made]) for name in ("genomes", "parents"))
        return Proposed(genomes, parents)

    def _parents(self, reward: int) -> Parents:
        pool = self._pools[reward]
        genomes = np.array([self._known[number][0] for number in pool], dtype=np.int64)
        violation = np.array([self._known[number][2] for number in pool])
        crowding = np.full(len(pool), np.nan)
        sums = self._sums(pool, reward)[:, np.newaxis]
        return Parents(np.array(pool, dtype=np.int64), genomes, sums, violation, crowding)

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:  # noqa: ARG002  # nothing is drawn here
        """Let each population keep the best of itself and its own children by its reward."""
        self._add(measured)
        keys = self._search.space.keys(measured.genomes) if len(measured) else []
        for reward in range(self._rewards):
            # What was proposed for no population in particular, as generation 0, is told to all.
            told = zip(measured.ids.tolist(), keys, strict=True)
            pool = [*self._pools[reward], *(number for number, key in told if self._whose.get(key, reward) == reward)]
            if not pool:
                continue
            violations = np.array([self._known[number][2] for number in pool])
            order = np.lexsort((self._sums(pool, reward), violations)).tolist()
            self._pools[reward] = [pool[place] for place in order][: self._size]
        self._whose = {}

    def _add(self, measured: Measured) -> None:
        for number, genome, values, violation in zip(
            measured.ids.tolist(), measured.genomes, measured.objectives, measured.violation.tolist(), strict=True
        ):
            self._known[number] = (genome, values, violation)
        if self._spans is None and len(measured):
            self._spans = (measured.objectives.min(axis=0), measured.objectives.max(axis=0))

    def state(self) -> dict[str, Any]:
        """Return the populations, and what objectives are scaled by."""
        spans = None if self._spans is None else [own.tolist() for own in self._spans]
        return {"pools": self._pools, "spans": spans}

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; values come from the history."""
        self._add(history)
        self._pools = [[int(number) for number in pool] for pool in state["pools"]]
        spans = state["spans"]
        self._spans = None if spans is None else (np.array(spans[0]), np.array(spans[1]))
