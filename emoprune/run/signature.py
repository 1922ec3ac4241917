"""Whose run it is: a key of this user signs what a run may import, so that nobody else's run passes for one's own."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emoprune.errors import StorageError

__all__ = ["key_place", "signature", "signatures", "signed_by_user"]

SIZE = 32  # bytes
# What says which run it is and where its code lies; none of it changes while the run is worked on.
IDENTITY = ("schema_version", "name", "created", "problem", "stage", "seed", "code_folder")


def key_place() -> Path:
    """Return where this user's key lies, whether it is there or not.

    Raises:
        StorageError: The user has no home.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(given) if Path(given).is_absolute() else Path("~/.local/state").expanduser()
    except RuntimeError as error:
        raise StorageError(f"there is no home folder to keep a key in: {error}; set XDG_STATE_HOME to one") from error
    return state / "emoprune" / "key"


def signature(manifest: Mapping[str, Any], config: bytes) -> str:
    """Return what only this user can write under a run's manifest and config; the key is made at first.

    Args:
        manifest: Its members that say which run it is count.
        config: The content of config.resolved.json.

    Raises:
        StorageError: No key can be kept, or others can read it.
    """
    place = key_place()
    if not place.exists():
        with _kept(place):
            _make(place)
    return _signature(_read(place), manifest, config)


def _signature(key: bytes, manifest: Mapping[str, Any], config: bytes) -> str:
    identity = json.dumps({name: manifest.get(name) for name in IDENTITY}, sort_keys=True)
    return hmac.new(key, b"emoprune run 1\n" + identity.encode() + b"\n" + config, hashlib.sha256).hexdigest()


def signed_by_user(manifest: Mapping[str, Any], config: bytes) -> bool:
    """Whether a run's manifest bears this user's signature for this config, wherever the run lies.

    Raises:
        StorageError: There is no key, or others can read it.
    """
    expected, found = _signature(_read(key_place()), manifest, config), manifest.get("signed")
    return isinstance(found, list) and any(
        isinstance(each, str) and hmac.compare_digest(each.encode(errors="replace"), expected.encode())
        for each in found
    )


@contextlib.contextmanager
def _kept(place: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"there is no key of yours at {place}; one is made when a run is begun") from error
    except OSError as error:
        raise StorageError(f"the key {place} cannot be kept: {error.strerror}; set XDG_STATE_HOME") from error


def _make(place: Path) -> None:
    """Write a new key; where another process is sooner, its key stays."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = place.with_name(f".key.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, place)
    finally:
        beside.unlink(missing_ok=True)


def _read(place: Path) -> bytes:
    with _kept(place), os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        known = os.fstat(file.fileno())
        key = file.read(SIZE + 1) if stat.S_ISREG(known.st_mode) else b""
    if known.st_uid != os.geteuid() or known.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StorageError(f"the key {place} is open to others; remove it, and a new one is made")
    if len(key) != SIZE:
        raise StorageError(f"the key {place}: expected {SIZE} bytes, found others; remove it, and a new one is made")
    return key


def signatures(manifest: Mapping[str, Any], config: str) -> list[str]:
    """Return the user's signature under a run; none where no key can be kept, and the run is then as a stranger's."""
    try:
        return [signature(manifest, config.encode())]
    except StorageError:
        return []  # a resume that would import code says why
