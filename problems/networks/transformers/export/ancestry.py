"""What a checkpoint says of itself and its licence, for the page of a model that was pruned from it."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from emoprune.problems.language.origins import origin_of
from emoprune.problems.networks.transformers.export.checkpoint import file_of

__all__ = ["ancestry_of"]

_log = logging.getLogger("emoprune")
_LICENCE = ("license", "license_name", "license_link")


def ancestry_of(name: str) -> dict[str, Any]:
    """Return `base_model`, `license` and what belongs to it, as a page's metadata have them, where they are known.

    The base model is the checkpoint itself if it is on a hub, else what its page or its config names.

    Args:
        name: The checkpoint's.
    """
    origin = origin_of(name)
    if origin.is_gguf and origin.place is not None:
        return _of_gguf(origin.place)
    page = _metadata(file_of(name, "README.md"))
    base = name if origin.place is None else page.get("base_model") or _loaded_from(file_of(name, "config.json"))
    found = {"base_model": base, **{each: page.get(each) for each in _LICENCE}}
    return {each: own for each, own in found.items() if own}


def _metadata(page: Path | None) -> dict[str, Any]:
    """Return the metadata on top of a page; nothing where there are none, or none that can be read, which is logged."""
    from huggingface_hub import ModelCard

    if page is None:
        return {}
    try:
        data: Any = ModelCard(page.read_text(encoding="utf-8"), ignore_metadata_errors=True).data
        found: dict[str, Any] = data.to_dict()
    except Exception as error:  # of whatever type a reader of metadata raises: the export does without them
        _log.warning("the metadata of %s are not carried along, because they cannot be read: %s", page, error)
        return {}
    return found


def _loaded_from(config: Path | None) -> str | None:
    """Return from which model on a hub transformers loaded what it saved, as it notes down."""
    if config is None:
        return None
    noted = json.loads(config.read_text(encoding="utf-8")).get("_name_or_path")
    is_on_a_hub = isinstance(noted, str) and re.fullmatch(r"\w[\w.-]*/[\w.-]+", noted) and not Path(noted).exists()
    return noted if is_on_a_hub else None


def _of_gguf(path: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    field = GGUFReader(path).fields.get("general.license")
    return {} if field is None else {"license": str(field.contents())}
