"""Which versions are here, and whether they are those that emoprune works with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from emoprune.doctor.checks import Check, Health

__all__ = ["check_packages", "check_python", "check_torch"]

NOT_FOR_USE = {"dev", "bench"}  # extras that serve emoprune's own developers
TORCH_WITHIN = 120.0  # seconds; the first import from a cold disk takes long
ASK_TORCH = "import torch; print(torch.__version__, torch.cuda.device_count())"


def check_python() -> Check:
    """Compare this Python with what emoprune asks for."""
    wanted = importlib.metadata.metadata("emoprune")["Requires-Python"] or ""
    found = f"{platform.python_version()} at {sys.prefix}, {len(os.sched_getaffinity(0))} usable cores"
    outside = not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True)
    return Check.judged("python", found, fail=outside, fix=f"use Python {wanted}")


def check_packages() -> list[Check]:
    """Compare every installed package that emoprune uses with its range; one check for all that fit."""
    fitting, wrong = [], []
    for requirement, extra in _wanted():
        version = _version(requirement.name)
        if version is None:
            if extra is None:
                fix = f"install it with: pip install '{requirement.name}{requirement.specifier}'"
                wrong.append(Check(requirement.name, Health.FAIL, "not installed", fix))
        elif not requirement.specifier.contains(version, prereleases=True):
            fix = f"install another with: pip install '{requirement.name}{requirement.specifier}'"
            needed = f"{version}; expected {requirement.specifier}"
            wrong.append(Check(requirement.name, Health.WARN if extra else Health.FAIL, needed, fix))
        else:
            fitting.append(f"{requirement.name} {version}")
    own = _version("emoprune") or "not installed"
    return [Check("packages", Health.OK, ", ".join([f"emoprune {own}", *sorted(set(fitting))])), *wrong]


def _wanted() -> Iterator[tuple[Requirement, str | None]]:
    """Yield what emoprune requires, each with the extra that asks for it, None where all of emoprune does."""
    extras = set(importlib.metadata.metadata("emoprune").get_all("Provides-Extra", ()))
    for text in importlib.metadata.requires("emoprune") or ():
        requirement = Requirement(text)
        if requirement.name == "emoprune":
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement, None
            continue
        asking = sorted(extra for extra in extras if requirement.marker.evaluate({"extra": extra}))
        if set(asking) - NOT_FOR_USE:
            yield requirement, asking[0]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_torch() -> Check:
    """Import torch in a process of its own, which may crash or hang, and count the GPUs that it sees."""
    if _version("torch") is None:
        return Check("torch", Health.OK, "not installed; only networks and language models need it")
    fix = "install it again: pip install --force-reinstall torch"
    command = [sys.executable, "-P", "-c", ASK_TORCH]
    try:
        # S603: our own interpreter and program.
        done = subprocess.run(command, capture_output=True, text=True, timeout=TORCH_WITHIN, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Check("torch", Health.FAIL, f"importing it took more than {TORCH_WITHIN:g} s", fix)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return Check("torch", Health.FAIL, f"cannot be imported: {last}", fix)
    version, gpus = done.stdout.split()
    return Check("torch", Health.OK, f"{version}, {gpus} GPUs" if gpus != "0" else f"{version}, no GPU")
