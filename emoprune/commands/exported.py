"""What lies in a candidate's exported folder, by the record inside it, and which formats the next export writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from emoprune.contracts import Combining, Exporting, Problem
from emoprune.errors import ConfigError, ContractError
from emoprune.run.exports import RECORD, read_export, write_export

__all__ = ["Exported", "check_formats", "formats_to_write"]


@dataclass(frozen=True, slots=True)
class Exported:
    """The formats in which a candidate was written into one folder, and whether they were verified there."""

    formats: tuple[str, ...] = ()
    verified: bool = False

    @classmethod
    def read(cls, folder: Path) -> Exported:
        """Return what the folder's own record says; nothing where there is none.

        Raises:
            RunCorrupt: It was altered.
        """
        if not (folder / RECORD).exists():
            return cls()
        found = read_export(folder)
        return cls(tuple(found["formats"]), found["verified"])

    def write(self, folder: Path, run: str, candidate: int) -> None:
        """Write the record into the folder, with where its content comes from and when it was written."""
        record = {
            "run": run,
            "candidate": candidate,
            "formats": list(self.formats),
            "verified": self.verified,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_export(folder, record)

    def lost_with(self, now: Exported) -> list[str]:
        """Return a sentence for each thing that is no longer so once the folder is replaced by `now`."""
        gone = [name for name in self.formats if name not in now.formats]
        unverified = [name for name in self.formats if name in now.formats] if self.verified > now.verified else []
        said = []
        if gone:
            said.append(f"{', '.join(gone)}, exported before, is replaced: not all of these can lie in one folder")
        if unverified:
            said.append(f"{', '.join(unverified)}, verified before, is written again without being verified")
        return said


def check_formats(problem: Problem, formats: Sequence[str], *, verify: bool) -> None:
    """Refuse formats that the problem does not write.

    Raises:
        ConfigError: It has no such format, or no formats to choose from.
        ContractError: It promises formats and names none.
    """
    name = type(problem).__name__
    if not isinstance(problem, Exporting):
        if formats or not verify:
            refused = f"--format {formats[0]}" if formats else "--no-verify"
            raise ConfigError(f"{name} writes one format and always verifies it; leave {refused} out")
        return
    known = list(problem.formats)
    if not known:
        raise ContractError(f"{name}.formats: expected at least one format, found none; name one, or remove the member")
    unknown = [wanted for wanted in formats if wanted not in known]
    if unknown:
        raise ConfigError(f"{name} has no format {unknown[0][:80]!r}; expected some of {', '.join(known)}")


def formats_to_write(problem: Exporting, asked: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """Return the formats that a folder shall hold, in the problem's own order.

    Those that lie there already are written again with the others, so that the folder stays of one piece.

    Args:
        problem: Set up.
        asked: What the user named, some of the problem's formats; none for the problem's own choice.
        there: What the folder holds already.

    Raises:
        ContractError: The problem's own choice names none of its formats, or leaves out what was asked for.
    """
    known = list(problem.formats)
    wanted = [*(asked or known[:1]), *there]
    if isinstance(problem, Combining):
        wanted = list(problem.formats_to_write(tuple(asked), tuple(each for each in there if each in known)))
        if not wanted or not set(asked) <= set(wanted) <= set(known):
            raise ContractError(
                f"{type(problem).__name__}.formats_to_write: expected some of {', '.join(known)} with all of "
                f"{', '.join(asked) or 'none'} among them, found {', '.join(map(str, wanted)) or 'none'}"
            )
    return tuple(each for each in known if each in wanted)
