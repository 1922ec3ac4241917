"""Proxies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune import plugins
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate

__all__ = ["NONE", "Proxy", "proxy_named"]

Proxy = str | Mapping[str, Any]

NONE = "none"  # the sliced statistics stay


def proxy_named(given: Proxy, problem: str) -> NormEstimate | None:
    """Return how statistics are estimated anew; None keeps the sliced ones.

    Raises:
        ConfigError: No proxy has this name, or it does not take these options.
    """
    if given == NONE:
        return None
    estimate: NormEstimate = plugins.method("proxy", given, problem)
    return estimate
