"""Nothing outside a run's folder is read, written or removed: a run with a symbolic link in it is refused."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from emoprune.errors import TrustError

__all__ = ["check_lies_at", "refuse_links"]


def refuse_links(run: Path) -> None:
    """Look through everything in the folder `run`, which may itself be reached by a link.

    Raises:
        TrustError: There is a symbolic link in it; the message names it.
    """
    waiting = [os.fspath(run)]
    while waiting:
        # What another process works on may go in between.
        with contextlib.suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    target = str(Path(entry.path).readlink())
                    raise TrustError(
                        f"{entry.path} is a symbolic link to {target!r}, and nothing outside a run's folder is read or "
                        "written; remove it, or put in its place what it leads to"
                    )
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def check_lies_at(folder: Path, place: Path) -> None:
    """Refuse to write to or remove from a folder that became a link meanwhile.

    Args:
        folder: By the name that it is used by.
        place: Where it has to lie, without a link in it.

    Raises:
        TrustError: It lies elsewhere.
    """
    found = folder.resolve()
    if found != place:
        raise TrustError(
            f"{folder} leads to {found} and not to {place}: it was replaced by a link meanwhile, and nothing outside a "
            "run's folder is written or removed; remove the link and put the folder back"
        )
