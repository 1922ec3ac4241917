"""Criteria by name, for the problem whose units they rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune import plugins
from emoprune.contracts import about_of
from emoprune.errors import ConfigError

__all__ = ["CHANNELS", "criterion_named"]

CHANNELS = "channels"  # what a criterion serves that does not say
OF_CHANNELS = ("channels", "subnetworks")  # the problems whose units are channels


def criterion_named(given: str | Mapping[str, Any], served: str) -> Any:
    """Build a criterion from its name, or from a mapping of its name and options.

    Raises:
        ConfigError: There is none of that name, its options are wrong, or it does not rank what is `served`.
    """
    criterion = plugins.method("criterion", given, served)
    if about_of(criterion) is None:
        # Criteria were plug-ins before methods said what they are; these have `serves`, or rank channels.
        serves = tuple(getattr(criterion, "serves", (CHANNELS,)))
        if served not in serves and not (served in OF_CHANNELS and CHANNELS in serves):
            name, _ = plugins.named("criterion", given)
            raise ConfigError(
                f"criterion: {name!r} serves {', '.join(serves)}, not {served}; `emoprune list criteria` says which "
                "serve what"
            )
    return criterion
