"""Tracing in a process of its own with a time limit: some networks run for ever, or take it down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.coupling.kept_structures import digest_of_code, keep, kept
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.unpruned.by_name import network_named

__all__ = ["structure_of"]


def structure_of(network: str, input_shape: Sequence[int], ignored: Sequence[str], time_limit: float) -> Structure:
    """Return the structure of the network of that name or import target, traced in a fresh process unless it is known.

    Args:
        network: As in `sources.network_named`.
        input_shape: The shape of one image: channels, height, width.
        ignored: Patterns of paths whose outgoing channels stay whole.
        time_limit: Seconds, importing torch included.

    Raises:
        ConfigError: The network cannot be traced, some of its groups cannot be sliced, or the time is over.
    """
    asked = (network, tuple(input_shape), tuple(ignored))
    with seeded(0):
        digest = digest_of_code(network_named(network), asked)
    known = _known(asked, digest)
    if not known:
        found = kept(network, digest)
        if found is None:
            found = _traced(network, input_shape, ignored, time_limit)
            keep(network, digest, found)
        known.append(found)
    return known[0]


def _traced(network: str, input_shape: Sequence[int], ignored: Sequence[str], time_limit: float) -> Structure:
    request = {"network": network, "input_shape": list(input_shape), "ignored": list(ignored), "path": sys.path}
    command = [sys.executable, "-P", "-m", "emoprune.problems.networks.coupling.tracing"]
    try:
        ended = subprocess.run(  # noqa: S603  # our own module; the network's name was checked by its loader
            command, input=json.dumps(request), capture_output=True, text=True, timeout=time_limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"network: its coupling groups were not found within {time_limit:.0f} s, in which it runs about a dozen "
            "times on three images; raise trace_limit, or prune another way"
        ) from error
    if ended.returncode != 0:
        last = ended.stderr.strip()[-2000:]
        raise ConfigError(f"network: the process that traced it ended with code {ended.returncode}: {last}")
    answer = json.loads(ended.stdout.splitlines()[-1])
    if "refused" in answer:
        raise ConfigError(answer["refused"])
    if "structure" not in answer:
        raise ContractError(f"tracing: expected a structure, found {list(answer)}")
    return Structure.from_json(answer["structure"])


@lru_cache(maxsize=16)
def _known(asked: tuple[str, tuple[int, ...], tuple[str, ...]], digest: str) -> list[Structure]:  # noqa: ARG001  # its arguments are the key
    """Return the place for what was found for this network with this code: a second question costs no process."""
    return []
