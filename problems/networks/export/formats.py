"""Which formats of a network are written: those asked for, those there already, or safetensors with a program."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.export.files import check_formats, check_program
from emoprune.problems.networks.export.writable import on_cpu

__all__ = ["chosen_formats"]

BY_DEFAULT = ("safetensors", "torch-export")
PROGRAMS = ("torch-export", "onnx")

_log = logging.getLogger("emoprune")


def chosen_formats(
    asked: Sequence[str], there: Sequence[str], network: nn.Module, input_shape: Sequence[int]
) -> tuple[str, ...]:
    """Return which formats to write, found out to be possible before anything is trained or written.

    Args:
        asked: What the user named; nothing for safetensors and, of networks that can be made one, a program.
        there: What was written of the same candidate before.
        network: The unpruned one, in eval mode: what torch can make a program of does not depend on the widths.
        input_shape: Of one image.

    Raises:
        ConfigError: One that was asked for is unknown or cannot be written here, or torch cannot make a program.
    """
    wanted = tuple(dict.fromkeys([*(asked or BY_DEFAULT), *there]))
    check_formats(wanted)
    if not set(PROGRAMS) & set(wanted):
        return wanted
    try:
        check_program(on_cpu(network), input_shape)
    except ConfigError as error:
        if set(PROGRAMS) & set(asked):
            raise
        _log.warning("export: safetensors alone: %s", error)
        return tuple(name for name in wanted if name not in PROGRAMS)
    return wanted
