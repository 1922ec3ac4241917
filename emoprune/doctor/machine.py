"""The machine that a search runs on: room on its disks, locks, limits and the language of its terminal."""

from __future__ import annotations

import locale
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from emoprune.doctor.checks import Check, Health

__all__ = ["check_disk", "check_locale", "check_locks", "check_open_files", "check_shared_memory", "nearest_folder"]

GIB = 1 << 30
RUNS_WARN, RUNS_FAIL = GIB, GIB // 20
FULL_FOR_RAY = 0.95  # used; beyond it Ray refuses to make objects
SHARED_WARN = GIB // 4  # a worker's batch of results is small, but a large problem is sent through it
FILES_WARN = 1024
SHARED = Path("/dev/shm")  # noqa: S108  # Linux's own place for shared memory


def nearest_folder(path: Path) -> Path:
    """Return the nearest folder above `path`, or itself, that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def check_disk(name: str, folder: Path, *, for_ray: bool = False) -> Check:
    """Look at the room on the disk that `folder` is on, and whether it can be written."""
    try:
        usage = shutil.disk_usage(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        return Check(
            name, Health.FAIL, f"{folder} cannot be written: {error.strerror or error}", "choose another folder"
        )
    free, share = usage.free, usage.used / max(1, usage.used + usage.free)
    found = f"{free / GIB:,.1f} GiB free of {usage.total / GIB:,.1f} GiB at {folder}"
    if for_ray:
        fix = "free some, or point RAY_TMPDIR at another disk; Ray makes no objects on a disk that is 95% full"
        return Check.judged(name, found, warn=share > FULL_FOR_RAY - 0.05, fail=share > FULL_FOR_RAY, fix=fix)
    return Check.judged(name, found, warn=free < RUNS_WARN, fail=free < RUNS_FAIL, fix="free some before a long run")


def check_shared_memory(folder: Path = SHARED) -> Check:
    """Look at the shared memory through which Ray hands the problem to workers."""
    if not folder.is_dir():
        return Check("shared memory", Health.WARN, f"{folder} is not there", "Ray will use slower files instead")
    total = shutil.disk_usage(folder).total
    fix = "in a container give it more, as in docker run --shm-size=2g; Ray uses slower files for the rest"
    return Check.judged("shared memory", f"{total / GIB:,.2f} GiB at {folder}", warn=total < SHARED_WARN, fix=fix)


def check_locks(folder: Path) -> Check:
    """Try whether a lock that one holds keeps another out: two processes must not write one run."""
    where = f"at {folder}"
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".emoprune-") as inner:
            place = Path(inner) / "lock"
            with FileLock(place, timeout=0):
                try:
                    FileLock(place, timeout=0).acquire()
                except Timeout:
                    return Check("locks", Health.OK, f"a file that is locked stays locked {where}")
    except OSError as error:
        return Check("locks", Health.FAIL, f"nothing can be locked {where}: {error.strerror or error}", _LOCAL)
    return Check("locks", Health.FAIL, f"two could lock one file {where}", _LOCAL)


_LOCAL = "keep runs on a local disk, or on a network file system that knows flock"


def check_open_files() -> Check:
    """Look at how many files this process may open; Ray needs some for every worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = "any number" if soft == resource.RLIM_INFINITY else f"{soft:,} (up to {hard:,})"
    few = soft != resource.RLIM_INFINITY and soft < FILES_WARN
    return Check.judged("open files", found, warn=few, fix=f"ulimit -n {max(FILES_WARN, min(hard, 65_536))}")


def check_locale() -> Check:
    """Look at which characters the terminal and the file names can hold."""
    used = (sys.getfilesystemencoding(), locale.getpreferredencoding(do_setlocale=False))
    names = sorted({name.lower() for name in used})
    found = f"{', '.join(names)}; LANG={os.environ.get('LANG', '')}"
    return Check.judged(
        "locale", found, warn=names != ["utf-8"], fix="export LC_ALL=C.UTF-8; names may else be shown escaped"
    )
