"""What a checkpoint's folder says beside weights: in which numbers they are stored, how to generate, its tokenizer."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import LoadedModel, config_of
from emoprune.problems.language.origins import origin_of

__all__ = ["carry_along", "file_of", "said_of_modules", "stored_dtype"]

_ALWAYS = ("generation_config.json", "preprocessor_config.json", "processor_config.json")
_UNLESS_WRITTEN = (
    *("chat_template.jinja", "chat_template.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model"),
    *("tokenizer_config.json", "tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"),
    *("sentencepiece.bpe.model", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
)
_MODULES = "modules.json"  # sentence-transformers' list of what follows the transformer, in folders of their own
_WITHOUT_FOLDER = ("Transformer", "Normalize")  # the classes of modules that need none
_BITS_16 = {"bfloat16": "bfloat16", "float16": "float16", "BF16": "bfloat16", "F16": "float16"}


def stored_dtype(name: str) -> str:
    """Return the numbers in which the checkpoint of that name is stored: float32, bfloat16 or float16."""
    place = origin_of(name).place
    if place is not None and place.is_dir():
        counts: Counter[str] = Counter()
        for path in sorted(place.glob("*.safetensors")):
            counts += _numbers_by_dtype(path)
        return _BITS_16.get(counts.most_common(1)[0][0], "float32") if counts else "float32"
    return _BITS_16.get(str(getattr(config_of(name), "dtype", None)).removeprefix("torch."), "float32")


def _numbers_by_dtype(path: Path) -> Counter[str]:
    """Return how many numbers of each dtype a file holds, from its header."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    counts: Counter[str] = Counter()
    for name, tensor in header.items():
        if name != "__metadata__":
            counts[tensor["dtype"]] += math.prod(tensor["shape"])
    return counts


def carry_along(loaded: LoadedModel, folder: Path) -> None:
    """Write the tokenizer, and copy what else the checkpoint's folder says beside its config, as it stands there."""
    if loaded.tokenizer is not None:
        loaded.tokenizer.save_pretrained(folder)
    for file in (*_ALWAYS, *_UNLESS_WRITTEN):
        source = file_of(loaded.source.name, file)
        if source is not None and (file in _ALWAYS or not (folder / file).exists()):
            shutil.copyfile(source, folder / file)
    for path, source in _modules_of(loaded.source.name).items():
        if source is not None:
            shutil.copytree(source, folder / path, dirs_exist_ok=True)
    generation = folder / "generation_config.json"
    if file_of(loaded.source.name, generation.name) is None and getattr(loaded.model, "generation_config", None):
        loaded.model.generation_config.to_json_file(generation)


def said_of_modules(name: str) -> list[str]:
    """Return what a person must know of modules for sentence-transformers that are listed and not there."""
    missing = [path for path, source in _modules_of(name).items() if source is None]
    if not missing:
        return []
    said = (
        f"{_MODULES} of {name} names {', '.join(missing)}, which its folder does not have: sentence-transformers loads "
        "neither it nor what is exported; put it there, or take the file out."
    )
    return [said]


def _modules_of(name: str) -> dict[str, Path | None]:
    """Return the folders that the checkpoint lists for sentence-transformers, by their names, None if one is missing.

    Raises:
        ConfigError: The list cannot be read.
    """
    listed = file_of(name, _MODULES)
    if listed is None:
        return {}
    try:
        modules = {each["path"]: each["type"].rpartition(".")[2] for each in json.loads(listed.read_text("utf-8"))}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"model: {_MODULES} of {name!r}: expected a list of modules, each with a path and a type, found "
            f"{type(error).__name__}: {error}; mend it, or take it out"
        ) from error
    found = {path: listed.parent / path for path, kind in modules.items() if path and kind not in _WITHOUT_FOLDER}
    # A folder that lies beside the list: nothing may be copied from elsewhere, or to elsewhere.
    return {path: own if own.is_dir() and re.fullmatch(r"\w[\w.-]*", path) else None for path, own in found.items()}


def file_of(name: str, file: str) -> Path | None:
    """Return where a file of a checkpoint lies; None if it has none."""
    from huggingface_hub import try_to_load_from_cache

    place = origin_of(name).place
    if place is None:
        found = try_to_load_from_cache(name, file)
        return Path(found) if isinstance(found, str) else None
    own = place / file
    return own if own.is_file() else None
