"""Which neurons and edges of a reservoir to keep: forecast error against edges."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Failure, Inspection, Objective, Picture, Reference, Row, about
from emoprune.errors import ContractError
from emoprune.problems.pictures.curves import lines
from emoprune.problems.pictures.svg import document
from emoprune.problems.reservoir.criteria.contract import Evidence
from emoprune.problems.reservoir.criteria.noise import LYAPUNOV_NOISE
from emoprune.problems.reservoir.export import export_network
from emoprune.problems.reservoir.genes import LEVELS, SHARES, Kept, ReservoirGenes
from emoprune.problems.reservoir.lyapunov import spectrum
from emoprune.problems.reservoir.made import drawn
from emoprune.problems.reservoir.measured import Seen
from emoprune.problems.reservoir.options import ReservoirOptions
from emoprune.problems.reservoir.references.contract import ReferenceInputs
from emoprune.problems.reservoir.series import series_of
from emoprune.problems.reservoir.standalone.reservoir import FloatArray, Network
from emoprune.problems.scoring.blocks import RowBlocks, averaged
from emoprune.problems.scoring.measures import Measures
from emoprune.problems.storage.arrays import kept_arrays
from emoprune.problems.storage.found_references import each_once, found_unmeasured_by
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = ["ReservoirProblem"]

NAME = "reservoir"
NOISE_STEPS = 150  # by which a largest exponent is measured
SHOWN = 200  # steps of a picture


@about("pruning", ["neurons", "weights"], cost="one pass over the series", papers=[LYAPUNOV_NOISE])
class ReservoirProblem:
    """Prune a recurrent network that is not trained itself, of which a linear readout forecasts a series.

    Neurons stay by a ranking, edges by noise; the spectral radius and the threshold of edges or spikes are genes too. A
    readout is fitted for each candidate on steps before those that it is scored on.

    Source: Sparse Spiking Neural Network: Exploiting Heterogeneity in Timescales for Pruning Recurrent SNN (ICLR 2024).
    """

    options: ClassVar[type[ReservoirOptions]] = ReservoirOptions

    def __init__(self, **given: Any) -> None:
        self._own = own = ReservoirOptions(**given)
        self._series = series_of(own)
        self._whole = drawn(own)
        self._blocks = RowBlocks.in_order({split: len(rows) for split, rows in self._series.rows.items()})
        self._measures = Measures.of(own.objectives, NAME)
        self._criteria = plugins.methods("criterion", own.criteria, NAME, option="criteria")
        self._methods = plugins.methods("reference", own.references, NAME, option="references")
        self._genes: ReservoirGenes | None = None
        self._references: tuple[Reference, ...] = ()

    @property
    def _known(self) -> ReservoirGenes:
        if self._genes is None:
            raise ContractError("the neurons are not ranked yet; call prepare(folder, seed) first")
        return self._genes

    @property
    def space(self) -> Space:
        """The ranking, the share of neurons, the noise level, the spectral radius and the threshold."""
        return self._known.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better; counts are worth measuring from those of the unpruned reservoir on."""
        whole = {"edges": float(np.count_nonzero(self._whole.weights)), "neurons": float(self._own.neurons)}
        return self._measures.objectives(whole)

    @property
    def noisy(self) -> tuple[str, ...]:
        """What is a mean over steps."""
        return self._measures.noisy

    @property
    def grades(self) -> tuple[int, ...]:
        """After how many blocks it is asked who goes on."""
        return self._blocks.grades

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return how many steps each block has."""
        return self._blocks.sizes(split)

    def inspect(self) -> Inspection:
        """Return what the reservoir is, and how many steps there are for what."""
        own = self._own
        summary: dict[str, str | int | float | bool] = {
            "series": own.data,
            "steps": len(self._series.values),
            "horizon": own.horizon,
            "kind": own.kind,
            "neurons": own.neurons,
            "edges": int(np.count_nonzero(self._whole.weights)),
            "largest Lyapunov exponent": self._largest(Kept(self._whole, np.arange(own.neurons))),
            "steps to learn from": len(self._series.fit),
        }
        summary |= {f"steps to {split.value} on": len(rows) for split, rows in self._series.rows.items()}
        return Inspection(summary)

    def prepare(self, folder: Path, seed: int) -> None:
        """Rank the neurons once, and let the methods find references; all their randomness comes from `seed`."""
        seen = self._series.values[: int(self._series.fit[-1]) + 1]
        evidence = Evidence(self._whole, seen, self._own.washout, seed)

        def scores() -> dict[str, FloatArray]:
            found = {name: self._scored(name, evidence) for name in self._criteria}
            return {**found, "importance of edges": np.ascontiguousarray(evidence.importance)}

        kept = dict(kept_arrays(folder / "scores.safetensors", scores))
        importance = kept.pop("importance of edges")
        rankings = {name: np.argsort(-kept[name], kind="stable") for name in self._criteria}
        lots = np.random.default_rng([seed, 3]).random(importance.shape)
        self._genes = genes = ReservoirGenes(self._whole, rankings, importance, self._own.radius, lots)
        inputs = ReferenceInputs(genes, np.random.default_rng(seed))
        found = found_unmeasured_by(self._methods, inputs, "nothing is measured before a reservoir is searched")
        self._references = each_once([Reference("unpruned", genes.unpruned), *found], genes.space, genes.canonical)

    def _scored(self, name: str, evidence: Evidence) -> FloatArray:
        scores = np.asarray(self._criteria[name](evidence), dtype=np.float64)
        if scores.shape != (self._own.neurons,) or not np.isfinite(scores).all():
            raise ContractError(
                f"criterion {name!r}: expected a finite score for each of {self._own.neurons} neurons, found shape "
                f"{scores.shape} or scores that are not finite"
            )
        return scores

    def setup(self, device: str, threads: int) -> None:
        """Do nothing: the series is in memory, and there is nothing here for a GPU."""

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Sequence[Row]:
        """Return the objectives of each genome on a part of the steps."""
        rows = self.evaluate_blocks(genomes, seeds, split, self._blocks.whole(split))
        sizes = self._blocks.sizes(split)
        return [averaged(each, sizes) if isinstance(each, np.ndarray) else each for each in rows]

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # which edges stay was drawn once
        split: Split,
        blocks: range,
    ) -> Sequence[Row]:
        """Return the objectives of each genome block by block."""
        places, of_split = self._series.rows[Split(split)], self._blocks.of_split[Split(split)]
        return [self._rows(genome, [places[of_split[block]] for block in blocks]) for genome in genomes]

    def _rows(self, genome: IntArray, pieces: Sequence[IntArray]) -> Row:
        kept = self._known.decoded(genome)
        states, readout = self._fitted(kept)
        if not np.isfinite(readout).all():
            return Failure("the reservoir is unstable: its states are not finite; lower the spectral radius")
        known: list[float] = []

        def largest() -> float:
            known[:] = known or [self._largest(kept)]
            return known[0]

        horizon, values = self._own.horizon, self._series.values
        forecasts = [states[rows] @ readout[:-1] + readout[-1] for rows in pieces]
        seen = [Seen(kept, own, values[rows + horizon], largest) for own, rows in zip(forecasts, pieces, strict=True)]
        return self._measures.rows(seen)

    def _fitted(self, kept: Kept) -> tuple[FloatArray, FloatArray]:
        """Return the states of all steps, and a readout by ridge regression; NaN where states are not finite."""
        own, fit = self._own, self._series.fit
        states = kept.reservoir.states(self._series.values)
        count = states.shape[1]
        if not np.isfinite(states).all():
            return states, np.full(count + 1, np.nan)
        inputs, target = states[fit], self._series.values[fit + own.horizon]
        centre, level = inputs.mean(axis=0), float(target.mean())
        inputs = inputs - centre
        penalty = own.ridge * len(fit) * np.eye(count)
        weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ (target - level))
        return states, np.append(weights, level - centre @ weights)

    def _largest(self, kept: Kept) -> float:
        noise = np.random.default_rng(14).normal(size=NOISE_STEPS + self._own.washout)
        states = kept.reservoir.states(noise)[self._own.washout :]
        if not np.isfinite(states).all():
            return float("nan")
        return spectrum(kept.reservoir.jacobians(states, noise[self._own.washout :])).largest

    def references(self) -> tuple[Reference, ...]:
        """Return the whole reservoir, then what a user would have picked without a search."""
        if self._genes is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._references

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return the representatives of genomes that keep the same."""
        return self._known.canonical(genomes)

    def describe(self, genome: IntArray) -> Description:
        """Say what is kept."""
        genes, kept = self._known, self._known.decoded(genome)
        ranking, share, noise, radius, _ = genome.tolist()
        described: dict[str, str | int | float] = {"neurons": len(kept.neurons), "edges": kept.edges}
        if SHARES[share] < 1:
            described["ranked by"] = list(genes.rankings)[ranking]
        described["noise level"] = "none" if np.isinf(LEVELS[noise]) else LEVELS[noise]
        described["spectral radius"] = genes.radii[radius]
        if kept.reservoir.threshold is not None:
            described["threshold"] = kept.reservoir.threshold
        return described

    def picture(self, genome: IntArray) -> Picture:
        """Draw the first steps of `select` with their forecasts."""
        states, readout = self._fitted(self._known.decoded(genome))
        rows = self._series.rows[Split.SELECT][:SHOWN]
        forecasts = np.nan_to_num(states[rows] @ readout[:-1] + readout[-1])
        came = self._series.values[rows + self._own.horizon]
        drawn_ones = {"what came": (rows, came), "forecast": (rows, forecasts)}
        words = ", ".join(f"{label} {value}" for label, value in self.describe(genome).items())
        return Picture(words, document([lines("steps to select on, in deviations", drawn_ones)]))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the reservoir with its readout, and the code that forecasts by it.

        Raises:
            ContractError: What was reloaded forecasts something else, or the reservoir is unstable.
            StorageError: The folder cannot be written.
        """
        kept, series = self._known.decoded(genome), self._series
        _, readout = self._fitted(kept)
        if not np.isfinite(readout).all():
            raise ContractError("export: the reservoir is unstable: its states are not finite; export another one")
        own = self._own
        network = Network(kept.reservoir, readout, series.mean, series.deviation, own.horizon, own.washout)
        files = export_network(folder, network, series.values * series.deviation + series.mean)
        return {**self.describe(genome), "files": files, "verified": "same forecasts in a fresh process"}

    def fingerprint(self) -> str:
        """Return a digest of the series."""
        return hashlib.sha256(self._series.values.tobytes()).hexdigest()
