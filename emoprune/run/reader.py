"""One folder per run, read side: finding a run by path, name or `latest`, and looking into it while it is written."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoprune.contracts import Constraint, Objective, Passage
from emoprune.errors import ConfigError, ContractError, RunCorrupt, RunNotFound, TrustError
from emoprune.records import Evaluation, Progress, Split, State
from emoprune.run.links import refuse_links
from emoprune.run.signature import signed_by_user
from emoprune.storage import read_json, read_lines

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCHEMA_VERSION",
    "Run",
    "checked_name",
    "constraints_in",
    "find_run",
    "not_started",
    "objectives_in",
    "open_run",
    "runs_in",
]

SCHEMA_VERSION = 1
STALE_AFTER = 60.0  # seconds without a heartbeat; it beats every two

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = {"con", "prn", "aux", "nul", "latest"}  # Windows devices, and our own word for the newest run


def checked_name(name: str) -> str:
    """Return `name` if it is safe as the name of a run's folder.

    Raises:
        TrustError: It could leave the runs folder or trouble a file system.
    """
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        shown = name if len(name) <= 60 else name[:57] + "..."
        raise TrustError(
            f"run name {shown!r} refused: expected 1 to 64 letters, digits, '.', '_' or '-', the first a letter or "
            "a digit, and not a reserved word"
        )
    return name


def runs_in(root: Path) -> list[Path]:
    """Return the run folders in `root`, the newest first."""
    folders = [entry.parent for entry in root.glob("*/manifest.json") if not entry.parent.is_symlink()]
    return sorted(folders, key=lambda folder: (_created(folder), folder.name), reverse=True)


def _created(folder: Path) -> str:
    try:
        return str(read_json(folder / "manifest.json").get("created", ""))
    except (RunCorrupt, TrustError):
        return ""  # an unreadable run is never the newest


def find_run(text: str, root: Path) -> Path:
    """Return the folder of the run that `text` means: a path, a name in `root`, or `latest`.

    Raises:
        RunNotFound: There is no such run; the message names those there are.
        TrustError: The name is a link that leaves `root`.
    """
    runs = runs_in(root)
    if text == "latest" and runs:
        return runs[0]
    if Path(text).name == "latest" and Path(text).parent != Path():
        return find_run("latest", Path(text).parent)
    named = root / text if _NAME.fullmatch(text) else None
    if named is not None and (named / "manifest.json").is_file():
        if not named.resolve().is_relative_to(root.resolve()):
            raise TrustError(f"run {text!r} is a link that leaves {root}; give the folder's own path")
        return named
    if "\0" not in text and len(text) < 4096 and (Path(text) / "manifest.json").is_file():
        return Path(text)
    known = ", ".join(folder.name for folder in runs[:5])
    hint = f"the newest in {root}: {known}" if runs else f"there are no runs in {root}"
    raise RunNotFound(f"no run {text[:80]!r}: expected a run's folder, its name or 'latest'; {hint}")


def open_run(path: str | os.PathLike[str]) -> Run:
    """Open a run for reading, also while it is being written; `path` may end in `latest`.

    Raises:
        RunNotFound: There is no run.
        RunCorrupt: Its manifest cannot be read, or a newer emoprune made it.
    """
    place = Path(path)
    folder = place if (place / "manifest.json").is_file() else find_run(place.name, place.parent)
    return Run(folder)


def objectives_in(manifest: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Return a manifest's objectives as records; none while the problem is still being prepared."""
    return tuple(Objective(**plain) for plain in manifest.get("objectives", ()))


def constraints_in(manifest: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Return a manifest's constraints as records; none while the problem is still being prepared."""
    return tuple(Constraint(**plain) for plain in manifest.get("constraints", ()))


class Run:
    """A run as a person or script reads it; takes no lock and writes nothing."""

    def __init__(self, path: Path) -> None:
        refuse_links(path)
        self.path = path
        version = self.manifest.get("schema_version")
        if version != SCHEMA_VERSION:
            made_by = self.manifest.get("emoprune", "another version")
            raise RunCorrupt(
                f"{path}: expected run format {SCHEMA_VERSION}, found {version!r}, made by emoprune {made_by}; "
                "use that version"
            )

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.progress.state.value}, {self.progress.evaluated} evaluations, {self.path}>"

    @property
    def stages(self) -> dict[str, Run]:
        """The stages of this run by name, in their order, each a run of its own; none for most problems."""
        path = self.path / "stages.json"
        names = read_json(path)["stages"] if path.exists() else []
        folders = {str(name): self.path / "stages" / checked_name(str(name)) for name in names}
        return {name: Run(folder) for name, folder in folders.items() if (folder / "manifest.json").is_file()}

    def check_whole(self, work: str) -> None:
        """Refuse to do with a stage what only the run that it belongs to can do.

        Raises:
            ConfigError: This is a stage; `work` says what was wanted, as in `export from`.
        """
        if "stage" in self.manifest:
            whole = self.path.resolve().parents[1]
            raise ConfigError(f"{self.name} is a stage of run {whole.name}; {work} that one: {whole}")

    @property
    def manifest(self) -> dict[str, Any]:
        """What was searched, how and with which versions."""
        return read_json(self.path / "manifest.json")

    @property
    def name(self) -> str:
        """The folder's name, which is the run's name wherever it is moved."""
        return self.path.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """The config with defaults filled in and overrides applied."""
        return read_json(self.path / "config.resolved.json")

    @property
    def signed_by_user(self) -> bool:
        """Whether this user's key signed the run as it is; see `emoprune.run.signature`."""
        return signed_by_user(self.manifest, (self.path / "config.resolved.json").read_bytes())

    @property
    def code_folders(self) -> list[Path]:
        """Where a problem given by an import target may lie: here, and where it lay when the run was begun."""
        before = self.manifest.get("code_folder")
        return [Path.cwd()] if before is None else [Path.cwd(), self.path / str(before)]

    @property
    def objectives(self) -> list[Objective]:
        """What is made better."""
        return list(objectives_in(self.manifest))

    @property
    def constraints(self) -> list[Constraint]:
        """What must hold."""
        return list(constraints_in(self.manifest))

    @property
    def references(self) -> dict[int, str]:
        """The references' names by candidate, the unpruned one first."""
        return {int(plain["candidate"]): str(plain["name"]) for plain in self.manifest["references"]}

    def evaluations(self) -> list[Evaluation]:
        """Return everything evaluated on the search split, by candidate."""
        return _evaluations(self.path / "history.jsonl")

    def remeasured(self) -> dict[tuple[int, Split], Evaluation]:
        """Return what was measured again on `select` and `test`."""
        again = _evaluations(self.path / "remeasured.jsonl")
        return {(evaluation.candidate.id, evaluation.split): evaluation for evaluation in again}

    @property
    def holds_evaluations(self) -> bool:
        """Whether anything evaluated is written down, here or in a stage; status.json may not know of it yet."""
        history = self.path / "history.jsonl"
        own = history.exists() and history.stat().st_size > 0
        return own or any(stage.holds_evaluations for stage in self.stages.values())

    @property
    def history(self) -> pd.DataFrame:
        """One row per evaluation on the search split, sorted by candidate, whatever order they finished in."""
        from emoprune.run.frames import history_frame

        return history_frame(self.evaluations(), self.objectives, self.constraints)

    @property
    def generations(self) -> pd.DataFrame:
        """One row per finished generation: counts, front size and ids, hypervolume, best per objective."""
        import pandas as pd

        lines = read_lines(self.path / "generations.jsonl")
        frame = pd.DataFrame(lines, columns=["generation", "evaluated", "failed", "born", "front", "hypervolume"])
        best = pd.DataFrame([line["best"] for line in lines]).add_prefix("best.")
        rest = pd.DataFrame(lines, columns=["seconds", "ended"])
        return pd.concat([frame, best, rest], axis=1)

    @property
    def pareto(self) -> pd.DataFrame:
        """The front of everything evaluated so far and every reference, best rank first; see pareto.schema.json."""
        return self.pareto_of(self.evaluations())

    def pareto_at(self, generation: int) -> pd.DataFrame:
        """Return the front as it was after `generation`, on the search split.

        Raises:
            RunNotFound: The run has not got that far.
        """
        until = [each for each in self.evaluations() if each.candidate.generation <= generation]
        reached = max((each.candidate.generation for each in until), default=-1)
        if generation != reached:
            raise RunNotFound(f"run {self.name} has no generation {generation}; the last one is {reached}")
        return self._pareto(until, {})

    def pareto_of(self, evaluations: Sequence[Evaluation]) -> pd.DataFrame:
        """Return the front of these evaluations and the references among them, as `pareto` shows all."""
        return self._pareto(evaluations, self.remeasured())

    def _pareto(
        self, evaluations: Sequence[Evaluation], remeasured: Mapping[tuple[int, Split], Evaluation]
    ) -> pd.DataFrame:
        from emoprune.run.frames import pareto_frame

        again = [each for each in self.reconsidered if (each.candidate.id, Split.SELECT) in remeasured]
        everyone = {each.candidate.id: each for each in (*evaluations, *again)}
        return pareto_frame(
            [everyone[number] for number in sorted(everyone)],
            remeasured,
            self.references,
            self.objectives,
            self.constraints,
            reconsidered=[each.candidate.id for each in again],
        )

    @property
    def reconsidered(self) -> list[Evaluation]:
        """What is measured again on `select` beside the front because `search.reconsider` asks for it, best first."""
        path = self.path / "config.resolved.json"
        share = float(read_json(path)["search"].get("reconsider", 0.0)) if path.exists() else 0.0
        if not share:
            return []
        from emoprune.run.frames import best_share

        return best_share(self.evaluations(), self.objectives, self.constraints, share)

    @property
    def descriptions(self) -> dict[int, dict[str, Any]]:
        """What each member of the front and each reference keeps, in a person's words."""
        path = self.path / "descriptions.json"
        return {int(number): words for number, words in read_json(path).items()} if path.exists() else {}

    @property
    def marked(self) -> dict[int, tuple[Passage, ...]]:
        """The text of each member of the front and each reference, with what goes; none for most problems."""
        path = self.path / "marked.json"
        if not path.exists():
            return {}
        try:
            return {int(number): tuple(Passage(**each) for each in text) for number, text in read_json(path).items()}
        except (AttributeError, TypeError, ValueError, ContractError) as error:
            raise RunCorrupt(
                f"{path}: expected marked texts, found {error!r}; `emoprune resume` rewrites it"
            ) from error

    @property
    def progress(self) -> Progress:
        """Where the run stands; a running one whose process is gone is `stale`."""
        path = self.path / "status.json"
        if not path.exists():
            return not_started()
        try:
            progress = Progress.from_json(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise RunCorrupt(f"{path}: expected a status, found {error!r}; `emoprune resume` rewrites it") from error
        return replace(progress, state=State.STALE) if _is_stale(progress) else progress


def _evaluations(path: Path) -> list[Evaluation]:
    lines = read_lines(path)
    found: dict[tuple[int, Split], Evaluation] = {}
    for number, line in enumerate(lines, 1):
        try:
            evaluation = Evaluation.from_json(line)
        except RunCorrupt as error:
            raise RunCorrupt(f"{path}:{number}: {error}") from error
        found.setdefault((evaluation.candidate.id, evaluation.split), evaluation)
    return sorted(found.values(), key=lambda evaluation: evaluation.candidate.id)


def _is_stale(progress: Progress) -> bool:
    if progress.state is not State.RUNNING:
        return False
    if progress.host == socket.gethostname() and not _alive(progress.pid):
        return True
    age = datetime.now(UTC) - datetime.fromisoformat(progress.updated)
    return age.total_seconds() > STALE_AFTER


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def not_started() -> Progress:
    """Return where a run stands that says nothing about it."""
    never = datetime.fromtimestamp(0, UTC).isoformat()
    message = "the run stopped before its first evaluation"
    return Progress(state=State.STALE, updated=never, host="", pid=0, message=message)
