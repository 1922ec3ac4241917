"""Pretrained models by name, with their tokenizers, checked: what is loaded was trained, nothing is drawn."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.gguf_copies import unfolded
from emoprune.problems.language.origins import Origin, origin_of
from emoprune.problems.language.quiet import quiet

__all__ = [
    "Kind",
    "LoadedModel",
    "Source",
    "config_of",
    "language_model",
    "located_model",
    "offline",
    "pretrained",
    "tokenizer_of",
]

Kind = Literal[
    "language-model",
    "masked-language-model",
    "encoder",
    "text-classifier",
    "image-classifier",
    "token-classifier",
    "multiple-choice",
    "question-answerer",
    "sequence-to-sequence",
]

_CLASSES: Mapping[Kind, str] = MappingProxyType(
    {
        "language-model": "AutoModelForCausalLM",
        "masked-language-model": "AutoModelForMaskedLM",
        "encoder": "AutoModel",
        "text-classifier": "AutoModelForSequenceClassification",
        "image-classifier": "AutoModelForImageClassification",
        "token-classifier": "AutoModelForTokenClassification",
        "multiple-choice": "AutoModelForMultipleChoice",
        "question-answerer": "AutoModelForQuestionAnswering",
        "sequence-to-sequence": "AutoModelForSeq2SeqLM",
    }
)
_ELSEWHERE = frozenset({"_name_or_path", "transformers_version"})  # in a config, and no part of the model
_NEED_A_TOKENIZER = ("language-model", "masked-language-model", "sequence-to-sequence")
_HUB_SECONDS = 10.0  # for a hub to say whether it has a model
_ADAPTED = (".lora_", ".base_layer.")  # in the names of weights that peft put an adapter around
_LEAST_VOCABULARY = 0.5  # of a model's rows that its own tokenizer uses; vocabularies are padded by far less


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model came from, and what it is: `origin` says it for a person, `vocabulary` counts embedding rows."""

    name: str
    origin: str
    model_type: str
    architecture: str
    vocabulary: int | None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model in eval mode without gradients, its tokenizer if it has one, and its source.

    `missing` names modules that the files hold no weights for, such as a classifier that has not been trained yet.
    """

    model: Any
    tokenizer: Any | None
    source: Source
    missing: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return a digest of all weights, the config and the tokenizer, for a fingerprint."""
        config = {name: value for name, value in self.model.config.to_dict().items() if name not in _ELSEWHERE}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        if self.tokenizer is not None:
            digest.update(repr(sorted(self.tokenizer.get_vocab().items())).encode())
        return digest.hexdigest()


def language_model(name: str, *, dtype: str = "float32", attention: str | None = None) -> LoadedModel:
    """Return a causal language model with its tokenizer, as `pretrained` does."""
    return pretrained(name, "language-model", dtype=dtype, attention=attention)


def pretrained(name: str, kind: Kind, *, dtype: str = "float32", attention: str | None = None) -> LoadedModel:
    """Return a pretrained model in eval mode on the CPU, its parameters without gradients.

    Only safetensors are read, and no code that comes with a model is run. Nothing is fetched unless `name` is one of a
    hub's; HF_HUB_OFFLINE is respected there.

    Args:
        name: As in `origin_of`.
        kind: Which head it gets. An encoder has none; a classifier's may be missing from the files and is in `missing`
            then, its weights zero.
        dtype: What the weights are turned into: float32, bfloat16 or float16.
        attention: transformers' name of the implementation, such as sdpa or eager; None leaves it to transformers.

    Raises:
        ConfigError: There is no such model, its files are incomplete, damaged, or of an architecture that is not
            known, or its tokenizer does not fit.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"kind: expected one of {', '.join(get_args(Kind))}, found {kind!r}")
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise ConfigError(f"dtype: expected float32, bfloat16 or float16, found {dtype!r}")
    origin = origin_of(name)
    if origin.is_gguf and origin.place is not None:
        with unfolded(origin.place) as folder:
            return _loaded(origin, str(folder), kind, dtype, attention)
    if origin.place is None:
        _check_hub(name)
    return _loaded(origin, str(origin.place or name), kind, dtype, attention)


def tokenizer_of(name: str) -> Any:
    """Return the tokenizer of the model that `pretrained` loads by this name, without the model.

    Raises:
        ConfigError: There is no such model, or it has no tokenizer.
    """
    with located_model(name) as (origin, where):
        return _tokenizer(origin, where, needed=True)


def config_of(name: str) -> Any:
    """Return the config of the model that `pretrained` loads by this name, without the model.

    Raises:
        ConfigError: There is no such model, or its config cannot be read.
    """
    from transformers import AutoConfig

    with located_model(name) as (origin, where):
        return _said_plainly(
            origin, lambda: AutoConfig.from_pretrained(where, trust_remote_code=False, local_files_only=offline())
        )


@contextmanager
def located_model(name: str) -> Iterator[tuple[Origin, str]]:
    """Give where the model of a name lies: its origin, and what transformers calls it.

    Raises:
        ConfigError: There is no such model.
    """
    origin = origin_of(name)
    if origin.is_gguf and origin.place is not None:
        with unfolded(origin.place) as folder, quiet():
            yield origin, str(folder)
        return
    if origin.place is None:
        _check_hub(name)
    with quiet():
        yield origin, str(origin.place or name)


def _loaded(origin: Origin, where: str, kind: Kind, dtype: str, attention: str | None) -> LoadedModel:
    import transformers

    factory = getattr(transformers, _CLASSES[kind])
    with quiet():
        model, info = _said_plainly(
            origin,
            lambda: factory.from_pretrained(
                where,
                dtype=getattr(torch, dtype),
                attn_implementation=attention,
                use_safetensors=True,
                local_files_only=offline(),
                trust_remote_code=False,
                output_loading_info=True,
            ),
        )
        needed = kind in _NEED_A_TOKENIZER
        tokenizer = None if kind == "image-classifier" else _tokenizer(origin, where, needed=needed)
    _refuse_adapters(origin, model, info)
    missing = _missing(origin, kind, model, info)
    model.eval().requires_grad_(requires_grad=False)
    vocabulary = _vocabulary(model)
    if tokenizer is not None and vocabulary is not None:
        _check_fit(origin, tokenizer, vocabulary)
    source = Source(origin.name, origin.kind, str(model.config.model_type), type(model).__name__, vocabulary)
    return LoadedModel(model, tokenizer, source, missing)


def offline() -> bool:
    """Whether hubs are not to be asked, as HF_HUB_OFFLINE says now; their library reads it only once."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _check_hub(name: str) -> None:
    """Refuse a model that was not fetched before and cannot be now, after one question: libraries ask for minutes."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    if offline():
        raise ConfigError(
            f"model: {name!r} was not fetched from a hub yet, and HF_HUB_OFFLINE forbids it; fetch it beforehand, or "
            "give a folder"
        )
    try:
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except Exception as error:  # the hub's library and those below it raise many types; each means that it is not there
        text = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"model: {name!r} is no folder, and the hub does not give it: {type(error).__name__}: {text}; check the "
            "name and the connection, or fetch it beforehand and give its folder"
        ) from error


def _said_plainly(origin: Origin, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # transformers and its readers raise many types; each means that this model is not read
        text = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"model: {origin.name!r} ({origin.kind}) cannot be loaded: {type(error).__name__}: {text}; "
            f"{_remedy(origin)}"
        ) from error


def _remedy(origin: Origin) -> str:
    if origin.place is None:
        return "check the name and the connection, or fetch it beforehand and give its folder"
    return "give a folder that transformers' AutoModel loads from safetensors without code of its own"


def _tokenizer(origin: Origin, where: str, *, needed: bool) -> Any | None:
    from transformers import AutoTokenizer

    local = origin.place is None or any((Path(where) / name).exists() for name in _TOKENIZER_FILES)
    if not local:
        if needed:
            raise ConfigError(
                f"model: the folder {origin.name!r} has no tokenizer; expected one of {', '.join(_TOKENIZER_FILES)}"
            )
        return None
    return _said_plainly(
        origin, lambda: AutoTokenizer.from_pretrained(where, trust_remote_code=False, local_files_only=offline())
    )


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "tokenizer_config.json")


def _refuse_adapters(origin: Origin, model: Any, info: dict[str, Any]) -> None:
    """Refuse weights that a low-rank adapter was put around and never merged into."""
    names = [*(str(key) for key in info.get("unexpected_keys", ())), *(name for name, _ in model.named_parameters())]
    found = next((name for name in names if any(mark in name for mark in _ADAPTED)), None)
    if found is not None:
        raise ConfigError(
            f"model: {origin.name!r} holds an adapter that was not merged ({found!r}); load it with peft, "
            "merge_and_unload(), save_pretrained() into another folder, and give that one"
        )


def _missing(origin: Origin, kind: Kind, model: Any, info: dict[str, Any]) -> tuple[str, ...]:
    """Return the modules without weights in the files; refuse a model of which anything else is missing."""
    unread = [*info.get("mismatched_keys", ()), *info.get("error_msgs", ())]
    if unread:
        raise ConfigError(f"model: weights of {origin.name!r} have other shapes than its config says: {unread[0]}")
    keys = sorted(str(key) for key in info.get("missing_keys", ()))
    head = {"text-classifier", "image-classifier"}
    prefix = str(getattr(model, "base_model_prefix", "")) + "."
    found = set()
    for key in keys:
        own = key.removeprefix(prefix)
        if own.startswith("pooler.") or (kind in head and not key.startswith(prefix)):
            found.add(key.rpartition(".")[0])
            continue
        raise ConfigError(
            f"model: the files of {origin.name!r} hold no weight {key!r} and {len(keys) - 1} more of "
            f"{type(model).__name__}; they are of another kind of model, or incomplete"
        )
    with torch.no_grad():
        for path in found:
            for parameter in model.get_submodule(path).parameters(recurse=False):
                parameter.zero_()  # instead of what was drawn
    return tuple(sorted(found))


def _vocabulary(model: Any) -> int | None:
    try:
        rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    except NotImplementedError:  # some models of images say so
        return None
    return None if rows is None else int(rows)


def _check_fit(origin: Origin, tokenizer: Any, vocabulary: int) -> None:
    ids = tokenizer.get_vocab()
    if origin.is_gguf:  # reading it adds tokens of its own where some are not declared; no text has them
        ids = {token: number for token, number in ids.items() if token not in tokenizer.get_added_vocab()} or ids
    highest = max(ids.values(), default=-1)
    if highest >= vocabulary or highest + 1 < vocabulary * _LEAST_VOCABULARY:
        raise ConfigError(
            f"model: the tokenizer of {origin.name!r} has token ids up to {highest}, the model's vocabulary has "
            f"{vocabulary} rows; they do not belong together. Put the model's own tokenizer into its folder"
        )
