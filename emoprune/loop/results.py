"""What a search leaves to its readers: who is measured again on held-out data, tables, descriptions, alarms."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.contracts import Alarming, Marked, Passage, Picture, Pictured, Problem
from emoprune.errors import EmopruneError
from emoprune.evolution.archive import Archive
from emoprune.loop.checks import described, drawn, marked
from emoprune.records import Candidate, Evaluation, table
from emoprune.run.recorder import Recorder

__all__ = ["Results", "alarms_of"]

PICTURED = 6  # candidates of the front, beside the unpruned, the best and the knee
CANNOT = "cannot be described"  # the label in the place of words that could not be had

_log = logging.getLogger(__name__)


class Results:
    """The derived side of one run while it is written."""

    def __init__(self, problem: Problem, recorder: Recorder) -> None:
        self._problem = problem
        self._recorder = recorder
        self._descriptions: dict[int, Mapping[str, Any]] = {}
        self._passages: dict[int, Sequence[Passage]] = {}
        self._speechless = False

    def members(self, archive: Archive) -> list[Candidate]:
        """Return the candidates of the front, the references and the reconsidered, by id; failed ones stay out."""
        return [evaluation.candidate for evaluation in self.shown(archive)]

    def shown(self, archive: Archive) -> list[Evaluation]:
        """Return what the search measured of the front, the references and the reconsidered; failed ones stay out."""
        known, again = self._known(archive), [each.candidate.id for each in self._recorder.run.reconsidered]
        wanted = {*archive.front.ids.tolist(), *self._recorder.run.references, *again}
        chosen_ones = [known[number] for number in sorted(wanted) if number in known]
        return [evaluation for evaluation in chosen_ones if evaluation.ok]

    def members_after_select(self, archive: Archive) -> list[Candidate]:
        """Return the candidates that are on the front by their `select` values, and the references."""
        frame = self._recorder.run.pareto_of(_kept(archive))
        wanted = set(frame.loc[(frame["rank"] == 1) | (frame["name"] != ""), "candidate_id"])
        return [each.candidate for number, each in self._known(archive).items() if number in wanted and each.ok]

    def _known(self, archive: Archive) -> dict[int, Evaluation]:
        """Return what a table may show by candidate: the front, generation 0 with the references, the reconsidered."""
        known = {**archive.evaluations, **{each.candidate.id: each for each in self._recorder.run.reconsidered}}
        return {number: known[number] for number in sorted(known)}

    def write_tables(self, archive: Archive) -> None:
        """Rebuild pareto.csv, its schema and the descriptions of its rows."""
        frame = self._recorder.run.pareto_of(_kept(archive))
        known = self._known(archive)
        shown = [known[number] for number in frame["candidate_id"].tolist()]
        described = {each.candidate.id: self._described(each) for each in shown}
        texts = {each.candidate.id: self._marked(each) for each in shown} if isinstance(self._problem, Marked) else {}
        self._recorder.write_tables(frame, described, texts)

    def _described(self, evaluation: Evaluation) -> Mapping[str, Any]:
        number = evaluation.candidate.id
        if number not in self._descriptions:
            self._descriptions[number] = self._words(evaluation.candidate)
        return self._descriptions[number]

    def _words(self, candidate: Candidate) -> Mapping[str, Any]:
        try:
            return described(self._problem, candidate.genome, f"candidate {candidate.id}")
        except EmopruneError as error:
            self._cannot(error)
            return {CANNOT: str(error)}

    def _marked(self, evaluation: Evaluation) -> Sequence[Passage]:
        number = evaluation.candidate.id
        if number not in self._passages:
            self._passages[number] = self._text(evaluation.candidate)
        return self._passages[number]

    def _text(self, candidate: Candidate) -> Sequence[Passage]:
        try:
            return marked(self._problem, candidate.genome, f"candidate {candidate.id}")
        except EmopruneError as error:
            self._cannot(error)
            return ()

    def write_pictures(self, archive: Archive) -> None:
        """Draw the unpruned, the best, the knee and some candidates evenly along the front, once the search is over."""
        if not isinstance(self._problem, Pictured):
            return
        frame = self._recorder.run.pareto_of(_kept(archive))
        front = frame[frame["rank"] == 1]["candidate_id"].tolist()
        places = {*range(0, len(front), max(1, len(front) // PICTURED))}
        wanted = {front[place] for place in places}
        marks = [name for name in ("knee", "best") if name in frame]
        chosen = frame["name"].eq("unpruned") | frame[marks].eq(1).any(axis=1) | frame["candidate_id"].isin(wanted)
        known = self._known(archive)
        pictures = {number: self._picture(known[number].candidate) for number in frame["candidate_id"][chosen].tolist()}
        self._recorder.write_pictures({number: own for number, own in pictures.items() if own is not None})

    def _picture(self, candidate: Candidate) -> Picture | None:
        try:
            return drawn(self._problem, candidate.genome, f"candidate {candidate.id}")
        except EmopruneError as error:
            self._cannot(error)
            return None

    def _cannot(self, error: EmopruneError) -> None:
        """Say once that something cannot be said: a search is not ended by the words of one row."""
        if not self._speechless:
            _log.warning("%s; others are marked in the descriptions alone", error)
        self._speechless = True


def alarms_of(problem: Alarming, evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """Return what the problem finds alarming in these evaluations; a search is not ended by what it cannot say."""
    names = list(evaluations[0].values) if evaluations else []
    try:
        found = problem.alarms([each.candidate for each in evaluations], table(evaluations, names))
        return tuple(str(words) for words in found)
    except Exception as error:  # a plug-in may raise anything
        return (f"{type(problem).__name__}.alarms cannot say whether there is cause for alarm: {error!r}",)


def _kept(archive: Archive) -> list[Evaluation]:
    """Return the front, and generation 0 with the references, by candidate: all that a table shows."""
    return sorted(archive.evaluations.values(), key=lambda evaluation: evaluation.candidate.id)
