"""Which columns of a stream to keep, and when to choose anew: error on the next window against time per prediction."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Objective, Picture, Reference, Row, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.pictures.grids import grid
from emoprune.problems.pictures.svg import document
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Column
from emoprune.problems.tables.learners.by_name import learner_plan
from emoprune.problems.tables.learners.contract import Learner
from emoprune.problems.tables.objectives.contract import Seen, Trained
from emoprune.problems.tables.options import TableOptions
from emoprune.problems.tables.reading.sources import read_table, say
from emoprune.problems.tables.scores.measures import Measures
from emoprune.problems.tables.scores.metrics import metric_named
from emoprune.problems.tables.standalone.stream import FORMAT, Reselector
from emoprune.problems.tables.streams.convolution import CONVOLUTION, Convolution
from emoprune.problems.tables.streams.genes import EVERY_WINDOW, NEVER, PolicyGenes
from emoprune.problems.tables.streams.references.catalogue import BY_DEFAULT, references_of
from emoprune.problems.tables.streams.references.contract import ReferenceInputs
from emoprune.problems.tables.streams.windows import Policy, Steps, Windows
from emoprune.problems.tables.table import Task
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["TabularStream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions(TableOptions):
    """What a search for policies takes.

    Args:
        time: A column to sort the rows by; without one they are in order already.
        ignore: Patterns of columns that are left out; categories always are.
        costs: What is minimised besides: objectives by name, such as milliseconds, columns and changes (`emoprune list
            objectives`), or as mappings of a name and options.
        references: What a user would have picked: methods by name, such as drift (`emoprune list references`), or as
            mappings of a name and options.
        select: The share of windows to choose from the front on, after those to search on.
        test: The share of windows to report on, the last ones.
        window: Rows of a window.
        learner: As of other tables, or convolution, a light network over the kept columns whose channels are genes too;
            as a mapping with `channels` of its two layers, `steps` and `rate`.
    """

    problem: ClassVar[str] = "tabular-stream"

    costs: Sequence[str | Mapping[str, Any]] = ("milliseconds",)
    references: Sequence[str | Mapping[str, Any]] = BY_DEFAULT
    window: int = 256


@about("pruning", ["columns"], cost="one model for each window of each policy", training=True)
class TabularStream:
    """Choose columns of a stream in windows: how many, by which weights, and at which drift anew.

    Rows are taken in their order. In each window columns are weighted by how tight they are inside the clusters of its
    rows, and by mutual information with the target; the heaviest stay. What is learnt on a window with the columns that
    are kept then is scored on the next window.
    """

    options: ClassVar[type[StreamOptions]] = StreamOptions

    def __init__(self, **given: Any) -> None:
        options = StreamOptions(**given)
        self._name = options.data
        self._table = read_table(options.source)
        numbers = [str(term) for term in self._table.kinds.numbers]
        if not numbers:
            raise ConfigError("data: expected columns of numbers to cluster, found none")
        self._columns = tuple(Column(name) for name in numbers)
        self._convolution = _convolution(options.learner)
        self._genes = PolicyGenes(len(numbers), self._convolution.channels if self._convolution else ())
        self._steps = Steps.of(self._table, options.window, options.select, options.test)
        self._plan = None if self._convolution else learner_plan(options.learner, self._table.task)
        self._measures = Measures.of(
            metric_named(options.metric, self._table.task, self._table.classes), options.costs, options.problem
        )
        self._methods = plugins.methods("reference", options.references, options.problem, option="references")
        self._references: tuple[Reference, ...] | None = None
        self._computed: Computed | None = None
        self._learner: Learner | None = None
        self._windows: Windows | None = None

    @property
    def space(self) -> Space:
        """How many columns, how many clusters, at which overlap anew, and the weight of mutual information."""
        return self._genes.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The metric on the next window, and the costs."""
        places = np.arange(len(self._columns))
        whole = Seen(self._table, self._columns, tuple(places for _ in self._steps.windows))
        return self._measures.objectives(whole)

    def inspect(self) -> Inspection:
        """Return how many windows there are for what, and which columns are left out."""
        left_out = [name for name in self._table.names if Column(name) not in self._columns]
        summary: dict[str, str | int | float | bool] = {
            "table": self._name,
            "task": self._table.task.value,
            "rows": len(self._table),
            "columns of numbers": len(self._columns),
            "windows": len(self._steps.windows),
        }
        summary |= {f"windows to {split.value} on": len(steps) for split, steps in self._steps.of_split.items()}
        notes = [f"Left out, because categories have no clusters: {', '.join(left_out)}."] if left_out else []
        return Inspection(summary, {}, [*self._table.notes, *notes])

    def alarms(self, candidates: Sequence[Candidate], values: NDArray[np.float64]) -> Sequence[str]:  # noqa: ARG002  # what was measured changes none of it
        """Return what was left out of the table or converted."""
        return [f"data: {note}" for note in self._table.notes]

    def prepare(self, folder: Path, seed: int) -> None:  # noqa: ARG002  # what is found takes no time, so it is not kept
        """Let the methods find references; all their randomness comes from `seed`."""
        say(self._table)
        inputs = ReferenceInputs(self._table, self._steps, self._genes, np.random.default_rng(seed))
        self._references = references_of(self._methods, inputs, seed)

    def setup(self, device: str, threads: int) -> None:  # noqa: ARG002  # there is nothing here for a GPU
        """Make a learner with `threads` threads, and room for what windows share."""
        self._computed = Computed(self._table)
        if self._convolution is not None:
            self._learner = self._convolution = replace(self._convolution, threads=threads)
        elif self._plan is not None:
            self._learner = self._plan.made(self._table.task, threads)
        self._windows = self._made_windows(self._computed)

    def _made_windows(self, computed: Computed) -> Windows:
        matrix = computed.matrix(self._columns, self._steps.block(1), np.arange(len(self._table)))
        return Windows(self._table, self._steps, matrix)

    @property
    def _loaded(self) -> tuple[Computed, Learner, Windows]:
        if self._computed is None or self._learner is None or self._windows is None:
            raise ContractError("nothing is set up yet; call setup(device, threads) first")
        return self._computed, self._learner, self._windows

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Sequence[Row]:
        """Return the metric and costs of each genome on the windows of a split."""
        pairs = zip(genomes, seeds.tolist(), strict=True)
        return [self._row(self._genes.decoded(genome), self._learner_of(genome), seed, split) for genome, seed in pairs]

    def _learner_of(self, genome: IntArray) -> Learner:
        """Return the learner; a network's is one of networks with the genome's channels."""
        if self._convolution is None:
            return self._loaded[1]
        first, second = self._genes.widths(genome)
        return self._convolution.narrowed((first, second))

    def _row(self, policy: Policy, learner: Learner, seed: int, split: Split) -> Row:
        computed, _, windows = self._loaded
        steps = self._steps.of_split[split]
        kept = windows.kept(policy, steps.stop)
        predictions = []
        for number in steps:
            block, terms = self._steps.block(number), [self._columns[place] for place in kept[number - 1]]
            model = learner.fitted(computed, block, terms, seed)
            inputs = computed.matrix(terms, block, block.scored)
            predictions.append(model.predict(inputs))
        rows = np.concatenate([self._steps.windows[number] for number in steps])
        trained = Trained(
            target=self._table.target[rows],
            predictions=np.concatenate(predictions),
            model=model,
            by_row=lambda: lambda turn: model.predict(inputs[turn % len(inputs)][np.newaxis]),
        )
        seen = Seen(self._table, tuple(terms), tuple(kept), trained)
        metric = self._measures.metric
        values = {metric.name: metric(trained.target, trained.predictions)}
        values |= self._measures.counted(seen) | self._measures.measured(seen)
        return self._measures.row(values, "with this policy")

    def references(self) -> tuple[Reference, ...]:
        """Return all columns, then what a user would have picked without a search."""
        if self._references is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._references

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which genes without effect are 0."""
        return self._genes.canonical(genomes)

    def describe(self, genome: IntArray) -> Description:
        """Say what a policy does."""
        policy, widths = self._genes.decoded(genome), self._genes.widths(genome)
        channels: dict[str, str | int | float] = {"channels": " and ".join(map(str, widths))} if widths else {}
        if policy.keep == len(self._columns):
            return {"columns kept": policy.keep, **channels}
        words = {NEVER: "never", EVERY_WINDOW: "in every window"}
        described: dict[str, str | int | float] = {"columns kept": policy.keep}
        described |= {"clusters": policy.clusters} if policy.information_weight < 1 else {}
        described["chosen anew"] = words.get(policy.threshold, f"at an overlap below {policy.threshold:g}")
        return described | {"weight of mutual information": policy.information_weight} | channels

    def picture(self, genome: IntArray) -> Picture:
        """Draw which columns are kept after each window."""
        windows, count = self._windows or self._made_windows(Computed(self._table)), len(self._steps.windows)
        there = np.zeros((len(self._columns), count), dtype=np.bool_)
        for number, kept in enumerate(windows.kept(self._genes.decoded(genome), count)):
            there[kept, number] = True
        said = ", ".join(f"{label} {value}" for label, value in self.describe(genome).items())
        below = f"{len(self._columns)} columns down, {count} windows across"
        return Picture(said, document([grid("columns kept after each window", there, below)]))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the policy with its choice at the last window to search on, and the code that goes on from there.

        Raises:
            ContractError: What was reloaded chooses other columns in the windows that follow.
            StorageError: The folder cannot be written.
        """
        _, _, windows = self._loaded
        policy, start = self._genes.decoded(genome), self._steps.of_split[Split.SEARCH].stop
        chosen = windows.kept(policy, len(self._steps.windows))
        reselector = Reselector(
            [str(column) for column in self._columns],
            classes=self._table.task is not Task.REGRESSION,
            kept=chosen[start - 1].tolist(),
            **asdict(policy),
        )
        with about_folder(folder):
            folder.mkdir(parents=True, exist_ok=True)
            plan = json.dumps({"format": FORMAT, **asdict(reselector)}, indent=1, ensure_ascii=False)
            (folder / "stream.json").write_text(plan, encoding="utf-8")
            with as_file(files("emoprune.problems.tables.standalone") / "stream.py") as script:
                shutil.copyfile(script, folder / "stream.py")
            network = self._written_network(genome, chosen, start, folder)
        compared = self._verify(folder, chosen, start)
        names = ", ".join(str(self._columns[place]) for place in chosen[start - 1])
        said = {**self.describe(genome), "kept now": names, "verified": f"same columns in {compared} later windows"}
        return said | network

    def _written_network(
        self, genome: IntArray, chosen: Sequence[IntArray], start: int, folder: Path
    ) -> dict[str, str | int | float]:
        """Write the network that learns on the last window to search on, of a learner that is one, and compare it.

        Raises:
            ContractError: What was reloaded predicts something else.
        """
        if self._convolution is None:
            return {}
        computed, _, _ = self._loaded
        block, terms = self._steps.block(start), [self._columns[place] for place in chosen[start - 1]]
        model = self._learner_of(genome).fitted(computed, block, terms, 0)
        model.write(folder)
        inputs = computed.matrix(terms, block, block.scored)
        reloaded = runpy.run_path(str(folder / "convolution.py"))["load_network"](folder)
        if not np.array_equal(reloaded.predict(inputs), model.predict(inputs)):
            raise ContractError("export: the reloaded network predicts something else; report the table")
        return {"network": "network.json, network.npz, convolution.py"}

    def _verify(self, folder: Path, chosen: Sequence[IntArray], start: int) -> int:
        computed, _, _ = self._loaded
        reloaded = runpy.run_path(str(folder / "stream.py"))["load_reselector"](folder)
        for number in range(start, len(chosen)):
            rows = self._steps.windows[number]
            window = computed.matrix(self._columns, self._steps.block(1), rows)
            kept = reloaded.update(window, self._table.target[rows])
            if kept != chosen[number].tolist():
                raise ContractError(
                    f"export: in window {number} the reloaded policy keeps {kept}, expected {chosen[number].tolist()}; "
                    "do not use it, and report the table"
                )
        return len(chosen) - start

    def fingerprint(self) -> str:
        """Return a digest of the table."""
        return self._table.digest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers compute for themselves.
        return {**vars(self), "_computed": None, "_learner": None, "_windows": None}


def _convolution(given: str | Mapping[str, Any]) -> Convolution | None:
    """Return the learner of light convolution networks, if that is what a config names."""
    name, options = plugins.named("learner", given)
    if name != CONVOLUTION:
        return None
    made: Convolution = plugins.made_with(Convolution, options, f"learner {name!r}")
    return made
