"""One folder per run, write side: one process at a time, truth first, everything derived can be rebuilt."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from emoprune.contracts import Passage, Picture
from emoprune.errors import RunCorrupt, StorageError
from emoprune.records import Evaluation, Progress, Split
from emoprune.run.checkpoints import Checkpoints
from emoprune.run.contents import GENERATIONS, REMEASURED, SEARCHED
from emoprune.run.fitting import HELD, held
from emoprune.run.leftovers import leftovers_beside, leftovers_in, remove
from emoprune.run.links import refuse_links
from emoprune.run.locks import RunLock
from emoprune.run.reader import Run, not_started
from emoprune.run.reading import read_records, read_starts
from emoprune.run.signature import signatures
from emoprune.storage import (
    Journal,
    content_of,
    fingerprint,
    finished_lines,
    sealed_line,
    write_atomically,
    write_checked,
    write_sealed,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recorder"]

log = logging.getLogger(__name__)


class Recorder:
    """Writes one run; a context manager that holds the run's lock.

    What `record` and `commit` returned from survives a kill at any later moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RunLock(path)
        self._history: Journal | None = None
        self._remeasured: Journal | None = None
        self._generations: Journal | None = None
        self.warnings: list[str] = []
        self.checkpoints = Checkpoints(path, self._warn)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run's lock and write nothing, so that whatever a resume is refused for is found out first.

        Raises:
            TrustError: A symbolic link lies in the run.
            RunLocked: Another process writes it.
        """
        refuse_links(self.path)
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        refuse_links(self.path)
        self._lock.acquire()
        try:
            self._lock.sign()
            self._sweep()
            self._history = self._opened(SEARCHED)
            self._remeasured = self._opened(REMEASURED)
            self._generations = self._opened(GENERATIONS)
        except BaseException:
            self._lock.release()
            raise
        return self

    def _sweep(self) -> None:
        """Remove what killed processes left half-written, and the checkpoint that one had no time to remove."""
        remove([*leftovers_in(self.path), *leftovers_beside(self.path)])
        self.checkpoints.remove_old()

    def _opened(self, name: str) -> Journal:
        journal = Journal(self.path / name)
        if journal.torn:
            self._warn(f"{name}: the last line was unfinished ({len(journal.torn)} bytes); it was moved to {name}.torn")
        return journal

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for journal in (self._history, self._remeasured, self._generations):
                if journal is not None:
                    journal.close()
        finally:
            self._lock.release()

    def _warn(self, text: str) -> None:
        """Keep what a person should know of the files, and say it at once and once: what follows may take hours."""
        if text in self.warnings:
            return
        self.warnings.append(text)
        log.warning("run %s: %s", self.path.name, text)

    @property
    def run(self) -> Run:
        """The run as its readers see it.

        Raises:
            StorageError: Its folder is gone.
        """
        if not (self.path / "manifest.json").exists():
            raise StorageError(
                f"the folder of run {self.path.name} is gone: {self.path} was removed or moved while the run was "
                "written; put it back and resume the run with `emoprune resume`, or begin it again"
            )
        return self._opened_run

    @cached_property
    def _opened_run(self) -> Run:
        return Run(self.path)

    @property
    def progress_before(self) -> Progress:
        """Where the run stood when it was last written; a status that cannot be read is said and will be rewritten."""
        try:
            return self.run.progress
        except RunCorrupt as error:
            self._warn(str(error))
            return not_started()

    def update_manifest(self, **members: object) -> None:
        """Replace some members of the manifest."""
        write_sealed(self.path / "manifest.json", {**self.run.manifest, **members})

    def write_resolved(self, resolved: Mapping[str, Any], *, sign: bool) -> None:
        """Keep the config as it is in force: defaults filled in, overrides of this session applied.

        The manifest knows it before it is there, beside the one that it replaces, because a kill may come between.

        Args:
            resolved: The config.
            sign: Whether the user trusts it, and signs it.
        """
        path, text, manifest = self.path / "config.resolved.json", _pretty(resolved), self.run.manifest
        known, mark = manifest.get("configs") or [fingerprint(self.run.config)], fingerprint(resolved)
        changed: dict[str, list[str]] = {} if mark in known else {"configs": [*known, mark]}
        if sign:
            signed, before = signatures(manifest, text), manifest.get("signed", ())
            kept = [each for each in signatures(manifest, content_of(path).decode()) if each in before]
            if signed and signed[0] not in kept:
                changed["signed"] = signed + kept
        if changed:
            self.update_manifest(**changed)
        write_atomically(path, text)

    def record(self, evaluations: Sequence[Evaluation]) -> None:
        """Append finished evaluations: search to the history, select and test beside it.

        They are apart so that the history of a run that was finished and then continued equals that of one long run.
        """
        searched = [evaluation.as_json() for evaluation in evaluations if evaluation.split is Split.SEARCH]
        again = [evaluation.as_json() for evaluation in evaluations if evaluation.split is not Split.SEARCH]
        for journal, lines in ((self._history, searched), (self._remeasured, again)):
            if journal is not None:
                journal.append(lines)

    def commit(self, generation: int, body: Mapping[str, Any]) -> None:
        """Commit a generation: its checkpoint first, then its line in generations.jsonl; older checkpoints go."""
        self.checkpoints.write(generation, body)
        if self._generations is not None:
            self._generations.append([body["generation"]])
        self.checkpoints.remove_old()

    def align_generations(self, last: Mapping[str, Any] | None) -> None:
        """Make generations.jsonl end with the line of the checkpoint that the run continues from.

        Where that shortens it, the manifest forgets first how much it held, because a kill may come between.
        """
        if self._generations is None:
            return
        path = self.path / GENERATIONS
        until = -1 if last is None else int(last["generation"])
        known = read_records(path, sealed=self.run.sealed) if last is not None else []
        kept = [*(line for line in known if line["generation"] < until), *([] if last is None else [last])]
        before, now = finished_lines(path), [sealed_line(line) for line in kept]
        if now == before:
            return
        known_held = self.run.manifest.get("held", {})
        if GENERATIONS in known_held and now[: len(before)] != before:
            self.update_manifest(held={name: each for name, each in known_held.items() if name != GENERATIONS})
        self._generations.close()
        write_atomically(path, b"".join(line + b"\n" for line in now))
        self._generations = Journal(path)

    def keep_held(self) -> None:
        """Keep how much the journals hold and a digest of it, at the end: only then is all of it measured again."""
        self.update_manifest(held={name: held(self.path / name) for name in HELD})

    def kept_starts(self) -> dict[str, list[list[int]]] | None:
        """Return what `keep_starts` kept; None if it kept nothing.

        Raises:
            RunCorrupt: The file was altered.
        """
        path = self.path / "warm_start.json"
        return read_starts(path) if path.exists() else None

    def keep_starts(self, fronts: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """Keep the genomes of the former runs' fronts that this run starts from, by the name of the run."""
        write_checked(self.path / "warm_start.json", fronts)

    def write_progress(self, progress: Progress) -> None:
        """Replace status.json."""
        write_sealed(self.path / "status.json", progress.as_json())

    def write_tables(
        self,
        frame: pd.DataFrame,
        descriptions: Mapping[int, Mapping[str, Any]],
        marked: Mapping[int, Sequence[Passage]],
    ) -> None:
        """Rebuild what is derived from the truth: descriptions.json, marked.json if any, pareto.csv and its schema."""
        from emoprune.run.frames import pareto_schema, without_formulas

        plain = {str(number): dict(words) for number, words in sorted(descriptions.items())}
        write_sealed(self.path / "descriptions.json", plain, indent=1)
        if marked:
            passages = {str(number): [asdict(each) for each in text] for number, text in sorted(marked.items())}
            write_sealed(self.path / "marked.json", passages, indent=1)
        table = without_formulas(frame).to_csv(index=False, lineterminator="\n")
        schema = pareto_schema(frame, self.run.objectives, self.run.constraints)
        write_sealed(self.path / "pareto.schema.json", {**schema, "pareto.csv": fingerprint(table)})
        write_atomically(self.path / "pareto.csv", table)

    def write_pictures(self, pictures: Mapping[int, Picture]) -> None:
        """Replace pictures.json, by candidate; a problem that draws nothing leaves none."""
        if pictures:
            plain = {str(number): asdict(each) for number, each in sorted(pictures.items())}
            write_sealed(self.path / "pictures.json", plain, indent=1)


def _pretty(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"
