"""GGUF files as safetensors folders: unfolded once, kept in the user's cache folder, and read from there after that."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.language.quiet import quiet
from emoprune.problems.storage.cache import cache_folder, writing_alone

__all__ = ["unfolded"]

WAIT = 1800.0  # seconds; a large file on a slow disk
MAGIC = b"GGUF"
FACTS = "kept.json"

_log = logging.getLogger("emoprune")


@contextmanager
def unfolded(path: Path) -> Iterator[Path]:
    """Give a folder with the model and the tokenizer of a GGUF file, its weights as 32-bit floats.

    The folder is named by the file's content and stays in the cache; it appears there only when it is whole. Where the
    cache cannot be written, the folder is gone at the end of the block.

    Raises:
        ConfigError: The file is no GGUF file, or is truncated, or of an architecture that is not known.
    """
    _check_magic(path)
    name = f"{path.stem[:60]}-{_digest(path)[:16]}"
    kept = cache_folder() / "models" / name
    if _whole(kept):
        yield kept
        return
    with writing_alone(kept, WAIT) as held:
        made = held and (_whole(kept) or _kept(path, kept))
    if made:
        yield kept
        return
    with tempfile.TemporaryDirectory() as scratch:
        _unfold(path, Path(scratch))
        yield Path(scratch)


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        begun = file.read(len(MAGIC))
    if begun != MAGIC:
        raise ConfigError(f"model: {path.name} is no GGUF file: expected it to begin with {MAGIC!r}, found {begun!r}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(path: Path, kept: Path) -> bool:
    """Write the folder beside its place and move it there; say whether that worked."""
    partial = kept.with_name(f".{kept.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        _unfold(path, partial)
        sizes = {each.name: each.stat().st_size for each in partial.iterdir()}
        (partial / FACTS).write_text(json.dumps({"from": path.name, "sizes": sizes}, indent=1), encoding="utf-8")
        shutil.rmtree(kept, ignore_errors=True)  # a damaged one
        partial.rename(kept)
    except OSError as error:
        _log.warning("%s cannot be kept in %s (%s); it is unfolded for this run alone", path.name, kept.parent, error)
        return False
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _whole(kept: Path) -> bool:
    """Whether the folder holds the files that were written, in their full sizes."""
    try:
        sizes = json.loads((kept / FACTS).read_text(encoding="utf-8"))["sizes"]
        whole = all((kept / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return whole


def _unfold(path: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _log.info("unfolding %s, once", path.name)
    try:
        with quiet():
            found: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype="float32")
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except Exception as error:  # the reader raises whatever indexing beyond the end of a file raises
        raise ConfigError(
            f"model: {path.name} cannot be read as GGUF ({type(error).__name__}: {_first_line(error)}); it is "
            "truncated, damaged, or of an architecture that transformers cannot read from GGUF. Fetch it again, or "
            "give a Hugging Face folder"
        ) from error
    config = copy.deepcopy(found.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are floats by now, and only such a config can be saved
    with quiet():
        plain: Any = AutoModelForCausalLM.from_config(config)
        plain.load_state_dict(found.state_dict())
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
