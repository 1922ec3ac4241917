"""The loop: ask, evaluate, write down, tell; one process's part of a run, or of one stage of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.config import SearchSettings
from emoprune.contracts import Problem, Spending, as_minimised
from emoprune.errors import EvaluationsFailed, RunCorrupt
from emoprune.evaluation.backends import Finished
from emoprune.evaluation.evaluator import Evaluator
from emoprune.evaluation.tickets import Ticket
from emoprune.evolution.archive import Archive
from emoprune.evolution.ask_tell import Offspring
from emoprune.loop.build import build_evolution, grading_of
from emoprune.loop.replaying import recalling, replayed
from emoprune.loop.results import Results
from emoprune.loop.standing import Standing
from emoprune.loop.start import fixed_point, kept_fronts, name_references, seeds_and_origins, surveyed
from emoprune.records import Candidate, Evaluation, Generation, Split
from emoprune.run.heartbeat import Heartbeat
from emoprune.run.recorder import Recorder

__all__ = ["STOPPED", "Session", "Work"]

TABLES_EVERY = 30.0  # seconds between two writings of pareto.csv while the search is running
STOPPED = "stopped as asked; `emoprune resume` continues it"
EXHAUSTED = "every genome has been evaluated: the space is exhausted"
NOTHING_NEW = "no new genome was found: the operators reach no more of the space"
FEW = 4  # born; so few may all fail near the end of a space without ending the search


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Tickets to be measured, and what takes in each piece of them as it is finished."""

    tickets: Sequence[Ticket]
    take: Callable[[Sequence[Finished]], None]


class Session:
    """One process's part of a run, from its last checkpoint to whatever ends it.

    Args:
        settings: How the search goes.
        problem: Prepared.
        recorder: Holds the run's lock.
        heartbeat: Where the search stands.
        stopping: Whether it is asked to stop.
        clock: The seconds that the time limit counts; the heartbeat's own if None.
        stage: Which stage of a larger search this is; None for the search itself.
    """

    def __init__(
        self,
        settings: SearchSettings,
        problem: Problem,
        *,
        recorder: Recorder,
        heartbeat: Heartbeat,
        stopping: Callable[[], bool],
        clock: Callable[[], float] | None = None,
        stage: str | None = None,
    ) -> None:
        self._settings = settings
        self._problem = problem
        self._recorder = recorder
        self._stopping = stopping
        self._clock = clock or (lambda: heartbeat.seconds)
        self._standing = Standing(settings, heartbeat, self._clock)
        self._stage = stage
        self._objectives = tuple(problem.objectives)
        # As the run was begun: a problem may have come to be measured block by block since.
        self._constraints, blocks = tuple(recorder.run.constraints), recorder.run.blocks
        self._archive = Archive(self._objectives, self._constraints, len(problem.space), blocks)
        self._evolution = build_evolution(settings, problem)
        self._results = Results(problem, recorder)
        self._evaluator = Evaluator(problem, settings.seed, {}, stage, blocks)
        self._blocks = blocks
        self._grading = grading_of(settings, problem, blocks, self._constraints)
        self._point = np.zeros(len(self._objectives))
        self._last: Mapping[str, Any] | None = None  # generation, of those that were restored
        self._restored = False
        self.ended: str | None = None

    def steps(self) -> Iterator[Work | Generation]:
        """Search generation by generation until something ends it, then measure the front on data not searched on.

        Yields work, which must be done before the next step is asked for, and each generation when it is finished.
        """
        if not self._restored:
            self.restore()
        self._recorder.align_generations(self._last)
        self._standing.begin()
        self._standing.spent(self._problem)
        index = self._next
        tables_due = 0.0
        while not self._over(index):
            offspring = self._ask(index)
            if len(offspring) == 0:
                self.ended = self._evolution.ended or (EXHAUSTED if self._evolution.exhausted else NOTHING_NEW)
                break
            self._standing.later = self._born_later(index, len(offspring))
            evaluations = yield from self._searched(_candidates(offspring, index), index)
            if index == 0 and len(evaluations) == len(offspring):
                offspring = self._extend(offspring, evaluations)
                evaluations += yield from self._evaluate(_candidates(offspring, 0)[len(evaluations) :], Split.SEARCH)
            if len(evaluations) < len(offspring):
                if not self._stopping():
                    raise RunCorrupt(
                        f"generation {index} of {self._recorder.path.name} has {len(evaluations)} evaluations of "
                        f"{len(offspring)} candidates, though nothing asked it to stop; `emoprune resume` continues it"
                    )
                break
            generation = self._tell(index, offspring, evaluations)
            if self._standing.seconds >= tables_due:
                self._results.write_tables(self._archive)
                tables_due = self._standing.seconds + TABLES_EVERY
            yield generation
            index += 1
        if not self._stopping():
            yield from self._remeasure()
        if self._stopping():
            self.ended = STOPPED
        self._results.write_tables(self._archive)
        self._results.write_pictures(self._archive)
        self._recorder.keep_held()

    @property
    def _next(self) -> int:
        return 0 if self._last is None else int(self._last["generation"]) + 1

    def wants_workers(self) -> bool:
        """Whether something is left to be measured in a session that was restored, as far as it can tell beforehand."""
        nothing_new = self._last is not None and (self._evolution.exhausted or self._evolution.ended is not None)
        if not (nothing_new or self._over(self._next)):
            return True
        if self._due(self._results.members(self._archive), Split.SELECT):
            return True
        return self._stage is None and self._due(self._results.members_after_select(self._archive), Split.TEST)

    def _due(self, candidates: Sequence[Candidate], split: Split) -> bool:
        _, tickets = self._evaluator.recalled_and_due(candidates, split)
        return bool(tickets)

    def restore(self) -> None:
        """Continue from the newest usable checkpoint, or from the history alone; nothing is written.

        Raises:
            RunCorrupt: The files of the run do not fit together.
        """
        known = self._recorder.run.evaluations()
        for name, body in self._recorder.checkpoints.readable():
            finished = [each for each in known if each.candidate.id < body["evolution"]["next_id"]]
            archive, told = replayed(self._problem, self._recorder.run, body, finished)
            try:
                self._evolution.restore(body["evolution"], np.array([e.candidate.genome for e in finished]), told)
            except RunCorrupt as error:
                self._recorder.checkpoints.pass_over(name, error)
                self._evolution = build_evolution(self._settings, self._problem)
                continue
            self._recorder.checkpoints.go_on_from(name)
            self._take_up(body, archive, known)
            break
        else:
            self._recorder.checkpoints.go_on_from(None)
            self._evaluator = self._recalling(known, known)
            self._standing.afresh()
        self._recorder.run.check_held()
        self._restored = True

    def _take_up(self, body: Mapping[str, Any], archive: Archive, known: Sequence[Evaluation]) -> None:
        """Go on behind a checkpoint; what is `known` from later is asked for again, and recalled instead of paid."""
        self._last = body["generation"]
        self._archive = archive
        self._evaluator = self._recalling(known[archive.evaluated :], known)
        self._point = np.array(body["reference_point"], dtype=np.float64)
        self._standing.restored(self._last, archive)
        self._note_alarms()

    def _recalling(self, unfinished: Sequence[Evaluation], searched: Sequence[Evaluation]) -> Evaluator:
        again = self._recorder.run.remeasured(searched).values()
        open_ids = {each.candidate.id for each in unfinished}
        pieces = self._recorder.run.pieces() if self._grading is not None else unfinished
        known = [*(each for each in pieces if each.candidate.id in open_ids), *again]
        return recalling(self._problem, self._settings.seed, known, self._stage, self._blocks)

    def _note_alarms(self) -> None:
        self._standing.alarms(self._problem, lambda: self._results.shown(self._archive))

    def _over(self, index: int) -> bool:
        """Say whether the search ends before generation `index`, and remember why."""
        evaluated = self._archive.evaluated
        limit = self._settings.time_limit
        if index >= self._settings.generations:
            self.ended = f"all {self._settings.generations} generations done"
        elif self._settings.evaluations is not None and evaluated >= self._settings.evaluations:
            self.ended = f"the budget of {self._settings.evaluations} evaluations is spent"
        elif index > 0 and limit is not None and self._clock() >= limit:
            self.ended = f"the time limit of {limit:g} s is reached"
        elif index > 0 and isinstance(self._problem, Spending):
            born = self._evolution.per_generation or self._settings.population
            self.ended = self._problem.unaffordable(born, len(self._results.shown(self._archive)))
        return self.ended is not None or self._stopping()

    def _ask(self, index: int) -> Offspring:
        if index > 0:
            return self._evolution.ask()
        fronts = kept_fronts(self._settings, self._problem, self._recorder)
        offspring = self._evolution.begin(*seeds_and_origins(self._problem, fronts))
        name_references(self._problem, self._problem.references(), offspring, self._recorder)
        return offspring

    def _extend(self, first: Offspring, evaluations: Sequence[Evaluation]) -> Offspring:
        """Return generation 0 with the references that the problem picks from what was measured of it."""
        _refuse_noise(evaluations, 0)
        picked = surveyed(self._problem, evaluations)
        if not picked:
            return first
        genomes = np.stack([reference.genome for reference in picked])
        added = self._evolution.extend(genomes, [f"reference:{reference.name}" for reference in picked])
        whole = first.joined(added)
        name_references(self._problem, [*self._problem.references(), *picked], whole, self._recorder)
        return whole

    def _searched(self, candidates: Sequence[Candidate], index: int) -> Generator[Work, None, list[Evaluation]]:
        """Measure a generation, grade after grade if the problem has some; fewer come back only if asked to stop.

        Generation 0 is measured in full: it has the references, and there is nothing yet to be held against.
        """
        if self._grading is None or index == 0:
            return (yield from self._evaluate(candidates, Split.SEARCH))
        done: dict[int, Evaluation] = {}
        first = candidates[0].id
        for grade, blocks in enumerate(self._grading.blocks.pieces):
            measured = yield from self._evaluate(candidates, Split.SEARCH, blocks)
            done |= {each.candidate.id: each for each in measured}
            if len(measured) < len(candidates):
                return measured
            candidates = self._going_on(grade, measured, first)
        return list(done.values())

    def _going_on(self, grade: int, measured: Sequence[Evaluation], first: int) -> list[Candidate]:
        """Return who of the candidates, the `first` of which has that id, is measured further."""
        if self._grading is None:
            return []
        if not self._evolution.selects:
            going = self._grading.going_on(measured, self._archive.evaluations.values())
            return [each.candidate for each in going]
        scored = self._grading.scored(sorted(measured, key=lambda each: each.candidate.id))
        ids = self._evolution.going_on(grade, scored.ids - first, scored.objectives, scored.violation, scored.noise)
        return sorted((each.candidate for each in measured if each.candidate.id in ids), key=lambda each: each.id)

    def _evaluate(
        self, candidates: Sequence[Candidate], split: Split, blocks: range | None = None
    ) -> Generator[Work, None, list[Evaluation]]:
        """Evaluate and write down; fewer come back only if the search was asked to stop."""
        self._standing.asked(split, len(candidates))
        done, tickets = self._evaluator.recalled_and_due(candidates, split, blocks)
        if not {candidate.id for candidate in candidates}.issuperset(each.candidate.id for each in done):
            raise RunCorrupt(
                f"the history of {self._recorder.path.name} was made by other versions: the search now numbers its "
                "candidates differently; continue with the versions in the manifest"
            )
        if done:
            self._standing.known(done, len(tickets))

        def take(finished: Sequence[Finished]) -> None:
            piece = [self._evaluator.recorded(each) for each in finished]
            self._recorder.record(piece)
            done.extend(piece)
            self._standing.paid(piece, len(candidates) - len(done))
            self._standing.spent(self._problem)

        if tickets:
            yield Work(tickets, take)
        return done

    def _born_later(self, index: int, born: int) -> int | None:
        """Return how many candidates come after generation `index`, in which `born` are; None if nobody can know."""
        usual = self._evolution.per_generation
        if usual is None:
            return None
        later = 0 if self._evolution.exhausted else max(0, self._settings.generations - 1 - index)
        return later * (min(usual, born) if index else usual)  # near the end of a space no more are born than now

    def _tell(self, index: int, offspring: Offspring, evaluations: Sequence[Evaluation]) -> Generation:
        """Rank what was measured, commit the generation, and return it."""
        _refuse_noise(evaluations, index)
        scored = self._archive.add(evaluations)
        if index == 0:
            self._fix_point(scored.objectives)
        self._evolution.tell(scored.ids - offspring.ids[0], scored.objectives, scored.violation, scored.noise)
        generation = self._generation(index, len(offspring))
        body = {
            "generation": generation.as_json(),
            "evolution": self._evolution.state(),
            "reference_point": self._point.tolist(),
            "history_digest": self._archive.digest,
        }
        self._recorder.commit(index, body)
        self._standing.finished(generation, self._archive)
        self._note_alarms()
        return generation

    def _fix_point(self, first: NDArray[np.float64]) -> None:
        """Fix, once for the whole run, from where hypervolume is measured, and write it down in natural signs."""
        references = [self._archive.evaluations[number] for number in self._recorder.run.references]
        self._point = fixed_point(self._objectives, references, first)
        natural = as_minimised(self._point, self._objectives).tolist()
        names = [objective.name for objective in self._objectives]
        self._recorder.update_manifest(reference_point=dict(zip(names, natural, strict=True)))

    def _generation(self, index: int, born: int) -> Generation:
        return Generation(
            index=index,
            front=self._archive.front,
            population=self._evolution.population,
            hypervolume=self._archive.hypervolume(self._point),
            evaluated=self._archive.evaluated,
            failed=self._archive.failed,
            born=born,
            seconds=self._standing.seconds,
            best=self._archive.best,
            stage=self._stage,
            note=self._shortage(index, born),
        )

    def _shortage(self, index: int, born: int) -> str | None:
        """Say that fewer genomes were born than a generation has, if it is so."""
        wanted = self._evolution.per_generation if index else self._settings.population
        if wanted is None or born >= wanted:
            return None
        return f"nearly exhausted: {born:,} new genomes were found instead of {wanted:,}"

    def _remeasure(self) -> Iterator[Work]:
        """Measure the front and the references again on `select`, and what is still on the front on `test`.

        A stage leaves `test` to the search that it is a part of.
        """
        members = self._results.members(self._archive)
        done = yield from self._evaluate(members, Split.SELECT)
        if len(done) == len(members) and self._stage is None:
            yield from self._evaluate(self._results.members_after_select(self._archive), Split.TEST)


def _candidates(offspring: Offspring, generation: int) -> list[Candidate]:
    rows = zip(offspring.ids.tolist(), offspring.genomes, offspring.parents.tolist(), offspring.origins, strict=True)
    return [
        # A copy, or one candidate kept would keep its whole generation's genomes in memory.
        Candidate(number, genome.copy(), generation, origin, tuple(parent for parent in parents if parent >= 0))
        for number, genome, parents, origin in rows
    ]


def _refuse_noise(evaluations: Sequence[Evaluation], index: int) -> None:
    """Stop when a whole generation failed: what follows would only breed failures."""
    if any(evaluation.ok for evaluation in evaluations) or (index > 0 and len(evaluations) < FEW):
        return
    reason, count = Counter(f"{each.status.value}: {each.reason}" for each in evaluations).most_common(1)[0]
    raise EvaluationsFailed(
        f"all {len(evaluations)} evaluations of generation {index} failed; most often ({count} times) {reason}; "
        "mend the cause and begin a new run"
    )
