"""Families that cannot be pruned, and why: refused by name, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.description import ARCHITECTURES

__all__ = ["REFUSED", "refuse_family"]

_STATES = "it has states that it carries on from token to token, and no attention"
_CONVOLVES = "it convolves and has no attention; prune it with the problem `channels`"
_LATENT = "its keys and values are made of latent ones, which all heads share"
_SOUND = "it listens to sound, of which there is no task here"
_WINDOWS = "its attention writes what its heads put out into as many channels as come in, so that none can go"
_LANGUAGES = "behind each layer stands an adapter for every language, one of which runs"
_TOGETHER = "its layers share keys and values, and drop neurons by what all neurons of a layer put out"
_FOURIER = "it mixes tokens by Fourier transforms and has no attention"
_SHORTENED = "its stages shorten keys and values by convolutions"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "convnext": _CONVOLVES,
        "convnextv2": _CONVOLVES,
        "deepseek_v2": _LATENT,
        "deepseek_v3": _LATENT,
        "falcon_mamba": _STATES,
        "fnet": _FOURIER,
        "gemma3n": _TOGETHER,
        "gemma3n_text": _TOGETHER,
        "led": _WINDOWS,
        "longformer": _WINDOWS,
        "mamba": _STATES,
        "mamba2": _STATES,
        "rwkv": _STATES,
        "segformer": _SHORTENED,
        "whisper": _SOUND,
        "xmod": _LANGUAGES,
    }
)


def refuse_family(config: Any) -> None:
    """Refuse a model of a family that cannot be pruned, unless somebody has described it.

    Args:
        config: The model's.

    Raises:
        ConfigError: It says why.
    """
    family = str(getattr(config, "model_type", ""))
    if family in REFUSED and family not in plugins.available(ARCHITECTURES):
        raise ConfigError(
            f"model: a model of the family {family!r} cannot be pruned as a transformer: {REFUSED[family]}"
        )
