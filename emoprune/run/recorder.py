"""One folder per run, write side: one process at a time, truth first, everything derived can be rebuilt."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from emoprune.contracts import Passage
from emoprune.errors import ConfigError, EmopruneError, RunCorrupt, RunLocked, StorageError
from emoprune.records import Evaluation, Progress, Split
from emoprune.run.fitting import APPENDED, held
from emoprune.run.leftovers import leftovers_beside, leftovers_in, remove
from emoprune.run.links import check_lies_at, refuse_links
from emoprune.run.reader import SCHEMA_VERSION, Run, checked_name, not_started
from emoprune.run.reading import read_checkpoint, read_records, read_starts
from emoprune.run.signature import signature
from emoprune.storage import (
    Journal,
    check_lockable,
    content_of,
    fingerprint,
    guarded,
    sealed_line,
    unfinished,
    write_atomically,
    write_checked,
    write_sealed,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recorder", "check_free", "environment"]

KEPT_CHECKPOINTS = 3

log = logging.getLogger(__name__)


def environment() -> dict[str, Any]:
    """Return what a run was made with: versions, machine, user; never the environment variables."""
    return {
        "host": socket.gethostname(),
        "user": os.getuid(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": _packages(tuple(sys.path)),
        "command": [Path(sys.argv[0]).name, *(_without_root(word) for word in sys.argv[1:])],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _without_root(word: str) -> str:
    """Return a word of a command with an absolute path in it, as in `--runs=/a/b`, made relative: a run may move."""
    key, sign, value = word.rpartition("=")
    return f"{key}{sign}{os.path.relpath(value)}" if Path(value).is_absolute() else word


@cache
def _packages(_path: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions, read once per search path: a search asks for them several times."""
    found = ((each.metadata["Name"], each.version) for each in importlib.metadata.distributions())
    return dict(sorted(found))


class Recorder:
    """Writes one run; a context manager that holds the run's lock.

    What `record` and `checkpoint` returned from survives a kill at any later moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / ".lock", timeout=0)
        self._history: Journal | None = None
        self._remeasured: Journal | None = None
        self._generations: Journal | None = None
        self.warnings: list[str] = []
        self._passed_over: list[str] = []

    @classmethod
    def create(
        cls, runs: Path, name: str | None, label: str, *, manifest: Mapping[str, Any], files: Mapping[str, str]
    ) -> Self:
        """Make a new run folder, `name` or a date with `label` and a random suffix, with its manifest and `files`.

        The folder appears with all of that in it, so that whatever can be seen can be resumed.

        Raises:
            TrustError: The name could leave `runs`.
            ConfigError: A run of that name exists.
            StorageError: The folder cannot be made.
        """
        stamp = datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S")
        chosen = checked_name(name if name is not None else f"{stamp}_{label}_{secrets.token_hex(2)}")
        path, partial = runs / chosen, unfinished(runs / chosen, "partial")
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        known = {"schema_version": SCHEMA_VERSION, "name": chosen, "created": created, **manifest}
        known["configs"] = [fingerprint(json.loads(files["config.resolved.json"]))]
        known["signed"] = _signatures(known, files["config.resolved.json"])
        with guarded(path):
            if path.exists():
                raise _taken(chosen, runs)
            (partial / "checkpoints").mkdir(parents=True)
            try:
                for file, text in files.items():
                    write_atomically(partial / file, text)
                write_sealed(partial / "manifest.json", known)
                partial.rename(path)
            except OSError as error:
                shutil.rmtree(partial, ignore_errors=True)
                raise _taken(chosen, runs) if path.exists() else error from None
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run's lock and write nothing, so that whatever a resume is refused for is found out first.

        Raises:
            TrustError: A symbolic link lies in the run.
            RunLocked: Another process writes it.
        """
        refuse_links(self.path)
        self._acquire()
        try:
            yield
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        refuse_links(self.path)
        self._acquire()
        try:
            self._sign_lock()
            self._sweep()
            self._history = self._opened("history.jsonl")
            self._remeasured = self._opened("remeasured.jsonl")
            self._generations = self._opened("generations.jsonl")
        except BaseException:
            self._lock.release()
            raise
        return self

    def _acquire(self) -> None:
        holder = self.path / ".lock.json"
        with guarded(self.path / ".lock"):
            check_lockable(self.path / ".lock")
            try:
                self._lock.acquire()
            except Timeout:  # an OSError, which must not be taken for the disk's
                raise RunLocked(
                    f"run {self.path.name} is being written by {_holder(holder)}; wait for it or stop it"
                ) from None

    def _sign_lock(self) -> None:
        """Say who writes, for those who are turned away."""
        who = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomically(self.path / ".lock.json", json.dumps(who))

    def _sweep(self) -> None:
        """Remove what killed processes left half-written, and the checkpoint that one had no time to remove."""
        remove([*leftovers_in(self.path), *leftovers_beside(self.path)])
        self._remove_old_checkpoints()

    def _remove_old_checkpoints(self) -> None:
        folder = self._checkpoint_folder()
        with guarded(folder):
            for old in sorted(folder.glob("gen-*.json"))[:-KEPT_CHECKPOINTS]:
                old.unlink()

    def _checkpoint_folder(self) -> Path:
        folder = self.path / "checkpoints"
        check_lies_at(folder, self.path.resolve() / "checkpoints")
        return folder

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
    def begun(self) -> bool:
        """Whether a generation was committed."""
        return any((self.path / "checkpoints").glob("gen-*.json"))

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
            signed, before = _signatures(manifest, text), manifest.get("signed", ())
            kept = [each for each in _signatures(manifest, content_of(path).decode()) if each in before]
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

    def checkpoint(self, generation: int, body: Mapping[str, Any]) -> None:
        """Commit a generation: its checkpoint first, then its line in generations.jsonl; older checkpoints go."""
        write_checked(self._checkpoint_folder() / f"gen-{generation:05d}.json", body)
        if self._generations is not None:
            self._generations.append([body["generation"]])
        self._remove_old_checkpoints()

    def keep_held(self) -> None:
        """Keep how much was evaluated and a digest of it, at the end: only then is all of it measured again."""
        self.update_manifest(held={name: held(self.path / name) for name in APPENDED})

    def checkpoints(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the checkpoints that can be read, by name, the newest first; the others are passed over."""
        for path in sorted((self.path / "checkpoints").glob("gen-*.json"), reverse=True):
            try:
                body = read_checkpoint(path)
            except RunCorrupt as error:
                self.pass_over(path.name, error)
            else:
                yield path.name, body

    def pass_over(self, checkpoint: str, error: RunCorrupt) -> None:
        """Say that a checkpoint cannot be used, and why."""
        self._passed_over.append(checkpoint)
        self._warn(f"checkpoint {checkpoint} is damaged and was passed over: {error}")

    def go_on_from(self, checkpoint: str | None) -> None:
        """Say from where the run goes on instead, if a checkpoint was passed over; None for its beginning."""
        if self._passed_over:
            place = "the beginning, with all of the history" if checkpoint is None else f"checkpoint {checkpoint}"
            self._warn(f"the run goes on from {place} instead of {self._passed_over[0]}")
        self._passed_over.clear()

    def align_generations(self, last: Mapping[str, Any] | None) -> None:
        """Make generations.jsonl end with the line of the checkpoint that the run continues from."""
        if self._generations is None:
            return
        path = self.path / "generations.jsonl"
        until = -1 if last is None else int(last["generation"])
        known = read_records(path, sealed=self.run.sealed) if last is not None else []
        kept = [*(line for line in known if line["generation"] < until), *([] if last is None else [last])]
        self._generations.close()
        write_atomically(path, b"".join(sealed_line(line) + b"\n" for line in kept))
        self._generations = Journal(path)

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


def _pretty(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


def _signatures(manifest: Mapping[str, Any], config: str) -> list[str]:
    """Return the user's signature under a run; none where no key can be kept, and the run is then as a stranger's."""
    try:
        return [signature(manifest, config.encode())]
    except StorageError:
        return []  # a resume that would import code says why


def check_free(name: str | None, runs: Path) -> None:
    """Refuse a name that cannot become that of a run in `runs`; None stands for one that will be made up.

    Raises:
        TrustError: It could leave `runs`.
        ConfigError: A run of that name exists.
    """
    if name is not None and (runs / checked_name(name)).exists():
        raise _taken(name, runs)


def _taken(name: str, runs: Path) -> ConfigError:
    return ConfigError(
        f"run {name!r} exists in {runs}: continue it with `emoprune resume {name}`, or choose another name"
    )


def _holder(path: Path) -> str:
    try:
        who = json.loads(content_of(path))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, EmopruneError):
        return "another process"
