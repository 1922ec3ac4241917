"""Structures of networks, found once and kept in the user's cache folder: finding one can take a minute."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError, StorageError
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.storage.cache import cache_folder
from emoprune.problems.storage.kept import read_sealed, sealed_json

__all__ = ["digest_of_code", "keep", "kept"]

_log = logging.getLogger("emoprune")
_PACKAGE = Path(__file__).resolve().parents[1]


def digest_of_code(network: nn.Module, asked: Sequence[Any]) -> str:
    """Return a digest of everything that a structure follows from: what was asked, the network and all code it may use.

    That is the source of every module loaded here that is neither installed nor emoprune's, the files in which the
    network's classes are defined, the code that finds structures, and the versions of the libraries that it uses.
    """
    digest = hashlib.sha256(repr([*asked, repr(network), torch.__version__]).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
    for path in sorted({*_own_sources(), *_sources_of_classes(network)}):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _own_sources() -> Iterator[Path]:
    """Yield the files of the user's modules that are loaded, and those of emoprune that structures depend on."""
    yield from (_PACKAGE / "coupling").rglob("*.py")
    yield from (_PACKAGE / "unpruned" / "built_in").glob("*.py")
    installed = _installed()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # As it is written first: finding out where thousands of files really lie takes longer than all the rest.
        if name.partition(".")[0] == "emoprune" or (isinstance(file, str) and file.startswith(installed)):
            continue
        path = _file_of(module)
        if path is not None and not str(path).startswith(installed):
            yield path


def _installed() -> tuple[str, ...]:
    """Return how the paths of installed modules begin, as written and as they really are."""
    places = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    # Of the system, of the user, of an environment below this one.
    places += [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return tuple(f"{place}{os.sep}" for each in places for place in (each, each.resolve()))


def _sources_of_classes(network: nn.Module) -> Iterator[Path]:
    for kind in {base for module in network.modules() for base in type(module).__mro__}:
        path = _file_of(sys.modules.get(kind.__module__))
        if path is not None and not kind.__module__.startswith("torch."):
            yield path


def _file_of(module: object) -> Path | None:
    name = getattr(module, "__file__", None)
    path = Path(name).resolve() if isinstance(name, str) else None
    return path if path is not None and path.is_file() else None


def kept(network: str, digest: str) -> Structure | None:
    """Return the structure of that digest if there is one; a damaged file is passed over."""
    path = _path(network, digest)
    if not path.exists():
        return None
    try:
        return Structure.from_json(read_sealed(path))
    except (ConfigError, OSError, KeyError, TypeError, ValueError) as error:
        _log.warning("a kept structure is found again: %s", error)
        path.unlink(missing_ok=True)
        return None


def keep(network: str, digest: str, structure: Structure) -> None:
    """Keep a structure; a folder that cannot be written is done without."""
    path = _path(network, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sealed_json(path, lambda: json.loads(json.dumps(structure.as_json())))
    except (OSError, StorageError) as error:
        cause = error.__cause__ or error  # the rest of a StorageError is said of a run that ends
        _log.warning("%s cannot be kept in %s (%s)", path.name, path.parent, cause)


def _path(network: str, digest: str) -> Path:
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", network).strip("-.")[-40:]
    return cache_folder() / "structures" / f"{plain}_{digest[:24]}.json"
