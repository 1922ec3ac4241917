"""The address of a cluster: whether it is one, and whether a cluster answers there that takes this process."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

from emoprune.errors import ConfigError, ResourcesUnavailable

__all__ = ["check_reachable", "is_same"]

HERE = ("localhost", "127.0.0.1", "::1")
_REMEDIES = {
    "InvalidAuthToken": "set RAY_AUTH_MODE=token, and give the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN",
    "Could not find any running Ray": "start one with `ray start --head`, or give host:port of its head",
    "Version mismatch": "run the search with the Python and Ray versions of the cluster",
}


def is_same(address: str, other: str) -> bool:
    """Say whether two addresses are the same; `other` is as Ray gives it.

    Raises:
        ConfigError: `address` is not one.
    """
    host, port = _host_and_port(address, "evaluation.address")
    there, _, found = other.rpartition(":")
    return int(found) == port and (host in HERE or there.strip("[]") in _addresses(host))


def _addresses(host: str) -> set[object]:
    """Return the addresses of a host by its name, none if nobody knows it."""
    try:
        return {place[0] for *_, place in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _host_and_port(address: str, setting: str) -> tuple[str, int]:
    if address.startswith("ray://"):
        host = address.removeprefix("ray://").partition(":")[0] or "HEAD"
        raise ConfigError(
            f"{setting}: {address} is the address of Ray's client, through which outcomes cannot come back one by one; "
            f"start the search on a machine of the cluster, as `emoprune run CONFIG --address {host}:6379`, or send it "
            f"there with `ray job submit --address http://{host}:8265 --working-dir . -- emoprune run CONFIG`"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host or not _can_be_asked_for(host):
        raise ConfigError(
            f"{setting}: expected host:port of the cluster's head, auto or local, found {address!r}; `ray status` on a "
            "machine of the cluster shows it"
        )
    return host.strip("[]"), int(port)


def _can_be_asked_for(host: str) -> bool:
    """Whether a name is one that can be looked up at all."""
    try:
        host.encode("idna")
    except UnicodeError:  # a part of it is empty, or longer than parts of names are
        return False
    return True


def check_reachable(address: str, limit: float, setting: str) -> None:
    """Refuse an address that Ray would try for minutes.

    Args:
        address: `host:port`, or `auto`.
        limit: Seconds.
        setting: Where the address is set, for what is said of it.

    Raises:
        ConfigError: It is not an address.
        ResourcesUnavailable: No cluster that takes this process answers within `limit` seconds; says why.
    """
    if address != "auto":
        try:
            socket.create_connection(_host_and_port(address, setting), timeout=limit).close()
        except OSError as error:
            raise ResourcesUnavailable(
                f"no Ray cluster answers at {address}: {error}; check {setting}, and `ray status` there"
            ) from error
    # S603: our own interpreter and module; the address is an argument, no shell sees it.
    command = [sys.executable, "-P", "-m", "emoprune.cluster.probe", address]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise ResourcesUnavailable(
            f"something listens at {address}, but no connection to a Ray cluster came about in {limit:g} s; "
            "check that the port is the head's (6379 unless it was started with another), or raise "
            "evaluation.start_limit"
        ) from error
    if answer.returncode != 0:
        raise ResourcesUnavailable(_refusal(address, answer.stdout + answer.stderr))


def _refusal(address: str, said: str) -> str:
    """Turn what Ray said into one paragraph, with a remedy if the cause is known."""
    remedy = next((remedy for cause, remedy in _REMEDIES.items() if cause in said), "`ray status` there says more")
    lines = [re.sub(r"^\[[^\]]*\] \S+ ", "", line.strip()) for line in said.splitlines()]
    distinct = list(dict.fromkeys(line for line in lines if line))
    return f"the Ray cluster at {address} refuses: {' '.join(distinct)}; {remedy}"
