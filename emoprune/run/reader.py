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

from emoprune.contracts import Blocks, Constraint, Objective, Passage, Picture
from emoprune.errors import ConfigError, RunCorrupt, RunNotFound, TrustError
from emoprune.records import Evaluation, Progress, Split, State
from emoprune.run.checkpoints import newest_checkpoint
from emoprune.run.contents import GENERATIONS, REMEASURED, SEARCHED
from emoprune.run.evaluations import Measures, read_evaluations, read_pieces
from emoprune.run.fitting import check_counted, check_generations, check_held, mismatch
from emoprune.run.links import refuse_links
from emoprune.run.reading import (
    SCHEMA_VERSION,
    blocks_in,
    constraints_in,
    is_sealed,
    objectives_in,
    read_config,
    read_manifest,
    read_object,
    read_records,
)
from emoprune.run.signature import signed_by_user
from emoprune.storage import alive, content_of, read_json

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


class Run:
    """A run as a person or script reads it; takes no lock and writes nothing.

    `sealed` says whether its files have checksums; those of earlier versions have none. What was altered, or cannot
    be so, raises RunCorrupt when it is read.
    """

    def __init__(self, path: Path) -> None:
        refuse_links(path)
        self.path = path
        self.sealed = is_sealed(self.manifest)

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.progress.state.value}, {self.progress.evaluated} evaluations, {self.path}>"

    @property
    def stages(self) -> dict[str, Run]:
        """The stages of this run by name, in their order, each a run of its own; none for most problems."""
        names = self.document("stages.json").get("stages", ())
        folders = {str(name): self.path / "stages" / checked_name(str(name)) for name in names}
        return {name: Run(folder) for name, folder in folders.items() if (folder / "manifest.json").is_file()}

    def document(self, name: str) -> dict[str, Any]:
        """Return one of the run's derived JSON files, checked; nothing where it has none of that name.

        Raises:
            RunCorrupt: The file cannot be read, was altered, or holds something else.
        """
        return read_object(self.path, name, sealed=self.sealed) if (self.path / name).exists() else {}

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
        return read_manifest(self.path)

    @property
    def name(self) -> str:
        """The folder's name, which is the run's name wherever it is moved."""
        return self.path.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """The config with defaults filled in and overrides applied."""
        return read_config(self.path, self.manifest)

    @property
    def signed_by_user(self) -> bool:
        """Whether this user's key signed the run as it is; see `emoprune.run.signature`.

        Raises:
            RunCorrupt: Its config cannot be read.
        """
        _ = self.config
        return signed_by_user(self.manifest, content_of(self.path / "config.resolved.json"))

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
    def blocks(self) -> Blocks | None:
        """What scores are means over; None where they are not measured block by block."""
        return blocks_in(self.manifest)

    @property
    def references(self) -> dict[int, str]:
        """The references' names by candidate, the unpruned one first."""
        return {int(plain["candidate"]): str(plain["name"]) for plain in self.manifest["references"]}

    def evaluations(self) -> list[Evaluation]:
        """Return everything evaluated on the search split, by candidate."""
        return read_evaluations(self.path / SEARCHED, Measures.of(self.manifest), sealed=self.sealed)

    def pieces(self) -> list[Evaluation]:
        """Return everything evaluated on the search split, by candidate, what was measured grade by grade so, too."""
        return read_pieces(self.path / SEARCHED, Measures.of(self.manifest), sealed=self.sealed)

    def all_evaluations(self) -> list[Evaluation]:
        """Return everything evaluated on the search split, by candidate, as `evaluations` does.

        Raises:
            RunCorrupt: It lacks some that a finished generation counts, or is not what it was at the last checkpoint or
                when the run last ended; or the generations do not fit it.
        """
        # First, because a run that is being written has in its history what these count.
        before, manifest = newest_checkpoint(self.path), self.manifest
        generations = read_records(self.path / GENERATIONS, sealed=self.sealed)
        counted = max((line["evaluated"] for line in generations), default=0)
        found = self.evaluations()
        held = sum(each.candidate.id < counted for each in found)
        if held != counted:
            raise RunCorrupt(
                f"{self.path / SEARCHED}: its generations count {counted:,} candidates, it holds {held:,} of them; "
                "restore it from a copy, or let `emoprune doctor RUN --repair` make one that measures them again"
            )
        wrong = None if before is None else mismatch(found, before, self.objectives, self.constraints)
        if wrong is not None:
            raise RunCorrupt(
                f"{self.path / SEARCHED}: {wrong}; restore it from a copy, or let `emoprune doctor RUN --repair` make "
                "one that goes by it as it is now"
            )
        check_held(self.path / SEARCHED, manifest.get("held", {}).get(SEARCHED))
        self._check_generations(generations, before, manifest)
        check_counted(self.path / GENERATIONS, generations, found)
        return found

    def check_held(self) -> None:
        """Refuse a run whose journals are not what they were when it last ended.

        Raises:
            RunCorrupt: They lack lines, or have others.
        """
        for name, before in self.manifest.get("held", {}).items():
            check_held(self.path / name, before)

    def generation_lines(self) -> list[dict[str, Any]]:
        """Return what is known of each finished generation, as it was written down.

        Raises:
            RunCorrupt: Some are missing, or are not what they were when the run last ended or at its last checkpoint.
        """
        before, manifest = newest_checkpoint(self.path), self.manifest
        lines = read_records(self.path / GENERATIONS, sealed=self.sealed)
        self._check_generations(lines, before, manifest)
        return lines

    def _check_generations(
        self, lines: Sequence[Mapping[str, Any]], before: Mapping[str, Any] | None, manifest: Mapping[str, Any]
    ) -> None:
        check_generations(self.path / GENERATIONS, lines, before)
        check_held(self.path / GENERATIONS, manifest.get("held", {}).get(GENERATIONS))

    def remeasured(self, searched: Sequence[Evaluation] | None = None) -> dict[tuple[int, Split], Evaluation]:
        """Return what was measured again on `select` and `test`.

        Args:
            searched: What the history has of those candidates, where it was read already.

        Raises:
            RunCorrupt: Something was measured of another genome, or is not what it was when the run last ended.
        """
        path, manifest = self.path / REMEASURED, self.manifest
        measures = Measures.of(manifest).again(self.evaluations() if searched is None else searched)
        again = read_evaluations(path, measures, sealed=self.sealed)
        check_held(path, manifest.get("held", {}).get(path.name))
        return {(evaluation.candidate.id, evaluation.split): evaluation for evaluation in again}

    @property
    def holds_evaluations(self) -> bool:
        """Whether anything evaluated is written down, here or in a stage; status.json may not know of it yet."""
        history = self.path / SEARCHED
        own = history.exists() and history.stat().st_size > 0
        return own or any(stage.holds_evaluations for stage in self.stages.values())

    @property
    def history(self) -> pd.DataFrame:
        """One row per evaluation on the search split, sorted by candidate, whatever order they finished in."""
        from emoprune.run.frames import history_frame

        return history_frame(self.all_evaluations(), self.objectives, self.constraints)

    @property
    def generations(self) -> pd.DataFrame:
        """One row per finished generation: counts, front size and ids, hypervolume, best per objective."""
        import pandas as pd

        lines = self.generation_lines()
        frame = pd.DataFrame(lines, columns=["generation", "evaluated", "failed", "born", "front", "hypervolume"])
        best = pd.DataFrame([line["best"] for line in lines]).add_prefix("best.")
        rest = pd.DataFrame(lines, columns=["seconds", "ended"])
        return pd.concat([frame, best, rest], axis=1)

    @property
    def pareto(self) -> pd.DataFrame:
        """The front of everything evaluated so far and every reference, best rank first; see pareto.schema.json."""
        return self.pareto_of(self.all_evaluations())

    def pareto_at(self, generation: int) -> pd.DataFrame:
        """Return the front as it was after `generation`, on the search split.

        Raises:
            RunNotFound: The run has not got that far.
        """
        until = [each for each in self.all_evaluations() if each.candidate.generation <= generation]
        reached = max((each.candidate.generation for each in until), default=-1)
        if generation != reached:
            raise RunNotFound(f"run {self.name} has no generation {generation}; the last one is {reached}")
        return self._pareto(until, {})

    def pareto_of(self, evaluations: Sequence[Evaluation]) -> pd.DataFrame:
        """Return the front of these evaluations and the references among them, as `pareto` shows all."""
        return self._pareto(evaluations, self.remeasured(evaluations))

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
            blocks=self.blocks,
        )

    @property
    def reconsidered(self) -> list[Evaluation]:
        """What is measured again on `select` beside the front because `search.reconsider` asks for it, best first."""
        path = self.path / "config.resolved.json"
        share = float(self.config["search"].get("reconsider", 0.0)) if path.exists() else 0.0
        if not share:
            return []
        from emoprune.run.frames import best_share

        return best_share(self.evaluations(), self.objectives, self.constraints, share)

    @property
    def descriptions(self) -> dict[int, dict[str, Any]]:
        """What each member of the front and each reference keeps, in a person's words."""
        return {int(number): words for number, words in self.document("descriptions.json").items()}

    @property
    def marked(self) -> dict[int, tuple[Passage, ...]]:
        """The text of each member of the front and each reference, with what goes; none for most problems."""
        texts = self.document("marked.json").items()
        return {
            int(number): tuple(Passage(each["text"], each.get("kept", True)) for each in text) for number, text in texts
        }

    @property
    def pictures(self) -> dict[int, Picture]:
        """Drawings of some members of the front and of the unpruned, by candidate; none for most problems."""
        drawn = self.document("pictures.json").items()
        return {int(number): Picture(each["caption"], each["svg"]) for number, each in drawn}

    @property
    def progress(self) -> Progress:
        """Where the run stands; a running one whose process is gone is `stale`."""
        plain = self.document("status.json")
        if not plain:
            return not_started()
        progress = Progress.from_json(plain)
        return replace(progress, state=State.STALE) if _is_stale(progress) else progress


def _is_stale(progress: Progress) -> bool:
    if progress.state is not State.RUNNING:
        return False
    if progress.host == socket.gethostname() and not alive(progress.pid):
        return True
    age = datetime.now(UTC) - datetime.fromisoformat(progress.updated)
    return age.total_seconds() > STALE_AFTER


def not_started() -> Progress:
    """Return where a run stands that says nothing about it."""
    never = datetime.fromtimestamp(0, UTC).isoformat()
    message = "the run stopped before its first evaluation"
    return Progress(state=State.STALE, updated=never, host="", pid=0, message=message)
