"""The words that several commands take: what each is called, what it means, and which values it may have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AddressOption",
    "Backend",
    "BackendOption",
    "CandidateArgument",
    "ConfigArgument",
    "Device",
    "DeviceOption",
    "EpochsOption",
    "FormatsOption",
    "JsonOption",
    "Kind",
    "OwnSetOption",
    "RunArgument",
    "RunsOption",
    "SetOption",
    "TrustOption",
    "WorkersOption",
    "own_options",
]


class Backend(StrEnum):
    """Where candidates are evaluated."""

    RAY = "ray"
    SERIAL = "serial"


class Device(StrEnum):
    """What a run's problem computes on after the search."""

    CPU = "cpu"
    CUDA = "cuda"


class Kind(StrEnum):
    """What `emoprune list` can list."""

    PROBLEMS = "problems"
    ALGORITHMS = "algorithms"
    OPERATORS = "operators"
    CRITERIA = "criteria"
    SALIENCIES = "saliencies"
    COMPENSATIONS = "compensations"
    REFERENCES = "references"
    PROXIES = "proxies"
    OBJECTIVES = "objectives"
    RECOVERIES = "recoveries"
    AUDITS = "audits"
    SELECTORS = "selectors"
    ARCHITECTURES = "architectures"
    METHODS = "methods"
    EXAMPLES = "examples"
    RUNS = "runs"


ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="A config file, or the name of an example.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder, or 'latest'.")]
RunsOption = Annotated[
    Path, typer.Option("--runs", envvar="EMOPRUNE_RUNS", metavar="DIR", help="The folder that holds the runs.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the config, as in search.population=80; repeatable."),
]
OwnSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set an option of the problem's own, as in epochs=3; `emoprune list problems` has them all. Repeatable.",
    ),
]
EpochsOption = Annotated[float | None, typer.Option(min=0, metavar="N", help="How long to train: --set epochs=N.")]
FormatsOption = Annotated[
    list[str] | None,
    typer.Option("--format", metavar="FORMAT", help="What to write, of the problem's formats; repeatable."),
]
DeviceOption = Annotated[Device, typer.Option(help="What to compute on.")]
CandidateArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CANDIDATE]",
        help="A candidate's number, a reference's name, 'knee', 'best', 'front' for export; none where options say.",
        show_default=False,
    ),
]
WorkersOption = Annotated[
    str | None,
    typer.Option(metavar="N", help="How many workers, or auto for as many as fit: --set evaluation.workers=N."),
]
AddressOption = Annotated[str | None, typer.Option(help="A Ray cluster to join: --set evaluation.address=A.")]
BackendOption = Annotated[Backend | None, typer.Option(help="Where to evaluate: --set evaluation.backend=B.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for scripts; every object has a 'schema'.")]
TrustOption = Annotated[bool, typer.Option("--trust-code", help="Import the code of a run that is not yours.")]


def own_options(given: Sequence[str] | None, epochs: float | None, formats: Sequence[str] | None = None) -> list[str]:
    """Return the words of `--set` with the short options written out after them."""
    words = list(given or ())
    if epochs is not None:
        words.append(f"epochs={int(epochs) if epochs.is_integer() else epochs}")
    return words + ([f"formats={json.dumps(formats)}"] if formats else [])
