"""Particle swarm optimisation on genomes: the one of ClaPS, with its errors mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.algorithms.single_objective import CLAPS, SingleObjective
from emoprune.contracts import Paper, about
from emoprune.contracts.algorithm import NO_PARENT, Measured, Proposed
from emoprune.errors import ConfigError
from emoprune.space import IntArray

__all__ = ["ParticleSwarm"]

FloatArray = NDArray[np.float64]

SWARM = (CLAPS, Paper("Word-level Textual Adversarial Attacking as Combinatorial Optimization", appeared="ACL 2020"))

HIGH, LOW = 0.8, 0.2  # inertia and the pull of a particle's own best fall from high to low, the swarm's pull rises
PULL = 3.0  # what one difference adds to a gene's velocity
IDLE = 50  # moves in a row that bring nothing new before the search counts as exhausted


@about("search", ["genomes"], cost="a few random numbers per gene and move", papers=SWARM)
class ParticleSwarm(SingleObjective):
    """Let every particle copy genes of its own best and of the swarm's best, the sooner the faster it is, and mutate.

    A gene's velocity rises where the particle differs from the bests and falls where it does not; its sigmoid is the
    probability of copying. In the published code a mutated particle changes the best it shares memory with; here bests
    keep their values.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774), after Word-level Textual Adversarial
    Attacking as Combinatorial Optimization (ACL 2020).

    Args:
        objective: What is made better; the problem's first by default.
        moves: Over how many moves inertia and pulls change; afterwards they stay.
        mutation: With which probability a particle gets a mutation, by the search's operator, after each move.
    """

    def __init__(self, objective: str | None = None, moves: int = 30, mutation: float = 0.1) -> None:
        if moves < 1:
            raise ConfigError(f"particle-swarm: expected 1 move or more, found {moves}")
        if not 0 <= mutation <= 1:
            raise ConfigError(f"particle-swarm: expected a mutation between 0 and 1, found {mutation}")
        super().__init__("particle-swarm", objective)
        self._moves = moves
        self._mutation = mutation
        self._positions: IntArray | None = None
        self._velocity: FloatArray = np.zeros((0, 0))
        self._best: list[int] = []  # each particle's own, by id
        self._swarm: int = NO_PARENT
        self._moved = 0

    @property
    def turn(self) -> int | None:
        """As many as there are particles, less those that land on known ground."""
        return None

    @property
    def population(self) -> IntArray:
        """The ids of the particles' own bests."""
        return np.array(sorted(set(self._best)), dtype=np.int64)

    def ask(self, rng: np.random.Generator) -> Proposed:
        """Move all particles until one comes to a place that was never measured; return all such places."""
        for _ in range(IDLE if self._positions is not None and self._best else 0):
            self._move(rng)
            places = self._positions if self._positions is not None else np.zeros((0, 0), dtype=np.int64)
            new = self._search.first_new(places, len(places))
            if len(new):
                parents = [[self._best[row], self._swarm] for row in new.tolist()]
                return Proposed(places[new], np.array(parents, dtype=np.int64))
            self._judge()
        return self._nothing()

    def _move(self, rng: np.random.Generator) -> None:
        if self._positions is None:
            return
        here, own = self._positions, self._told.genomes(self._best)
        shared = np.broadcast_to(self._told.genomes([self._swarm]), here.shape)
        done = min(1.0, self._moved / self._moves)
        falling, rising = HIGH - done * (HIGH - LOW), LOW + done * (HIGH - LOW)
        pulls = np.where(here == own, -PULL, PULL) + np.where(here == shared, -PULL, PULL)
        self._velocity = falling * self._velocity + (1 - falling) * pulls
        copying = 1 / (1 + np.exp(-self._velocity))
        for best, pull in ((own, falling), (shared, rising)):
            drawn = rng.random((len(here), 1)) < pull
            here = np.where(drawn & (rng.random(here.shape) < copying), best, here)
        mutating = rng.random((len(here), 1)) < self._mutation
        here = np.where(mutating, self._search.mutated(here), here)
        self._positions = self._search.repaired(here)
        self._moved += 1

    def tell(self, measured: Measured, rng: np.random.Generator) -> None:
        """Remember what was better than a particle's own best, or the swarm's."""
        self._told.add(measured)
        if self._positions is None and len(measured):
            first = measured.ids.tolist()
            self._positions, self._best = measured.genomes.copy(), first
            self._velocity = np.repeat(rng.uniform(-PULL, PULL, (len(first), 1)), len(self._search.space), axis=1)
            self._swarm = self._told.sorted(first)[0]
        self._judge()

    def _judge(self) -> None:
        if self._positions is None:
            return
        for particle, number in enumerate(self._told.known(self._positions)):
            if number is not None and self._told.value(number) < self._told.value(self._best[particle]):
                self._best[particle] = number
        self._swarm = self._told.sorted([self._swarm, *self._best])[0]

    def state(self) -> dict[str, Any]:
        """Return where the particles are, how fast, and what they remember."""
        positions = None if self._positions is None else self._positions.tolist()
        velocity = self._velocity.tolist()
        return {
            "positions": positions,
            "velocity": velocity,
            "best": self._best,
            "swarm": self._swarm,
            "moved": self._moved,
        }

    def restore(self, state: Mapping[str, Any], history: Measured) -> None:
        """Continue from `state`; values come from the history."""
        self._told.add(history)
        if state["positions"] is not None:
            shape = (-1, len(self._search.space))
            self._positions = np.array(state["positions"], dtype=np.int64).reshape(shape)
            self._velocity = np.array(state["velocity"], dtype=np.float64).reshape(shape)
        self._best = [int(number) for number in state["best"]]
        self._swarm, self._moved = int(state["swarm"]), int(state["moved"])
