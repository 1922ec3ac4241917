"""The commands on a run: where it stands, what it found, and what becomes of that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoprune.cli.arguments import (
    CandidateArgument,
    Device,
    DeviceOption,
    EpochsOption,
    FormatsOption,
    JsonOption,
    OwnSetOption,
    RunArgument,
    RunsOption,
    TrustOption,
    own_options,
)

if TYPE_CHECKING:
    from emoprune.run import Run

__all__ = ["audit", "export", "pareto", "recover", "report", "status"]


def status(run: RunArgument = "latest", *, runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Show where a run stands."""
    from emoprune.cli import output

    output.status(_opened(run, runs), as_json=as_json)


def pareto(
    run: RunArgument = "latest",
    *,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV; the columns are those of pareto.csv.")] = False,
    generation: Annotated[
        int | None, typer.Option(min=0, metavar="G", help="Show the front as it was after generation G.")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Also show what each candidate keeps, and all of them.")] = False,
) -> None:
    """Show the front and the references."""
    from emoprune.cli import output

    if as_json and as_csv:
        raise typer.BadParameter("expected --json or --csv, found both; leave one out")
    opened = _opened(run, runs)
    then = opened if generation is None else output.RunThen(opened.path, generation)
    if as_json:
        output.front_json(then, wide=wide)
    elif as_csv:
        output.front_csv(then, wide=wide)
    else:
        output.front_table(then, wide=wide)


def export(
    run: RunArgument,
    candidate: CandidateArgument,
    *,
    formats: FormatsOption = None,
    verify: Annotated[bool, typer.Option(help="Load again what was written, and compare.")] = True,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a candidate's pruned thing, verified, to disk."""
    from emoprune.cli import output
    from emoprune.commands.export import export as exported

    opened = _opened(run, runs)
    folder, said = exported(opened, candidate, formats=formats or (), verify=verify, trust_code=trust_code)
    written = {"run": opened.name, "candidate": candidate, "path": str(folder)}
    output.show("export", {**written, "verified" if verify else "not_verified": said}, as_json=as_json)


def audit(
    run: RunArgument = "latest",
    *,
    candidates: Annotated[
        int, typer.Option(min=3, metavar="N", help="How many members of the front, its ends and knee among them.")
    ] = 8,
    epochs: EpochsOption = None,
    overrides: OwnSetOption = None,
    device: DeviceOption = Device.CPU,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check whether a run's front can be believed."""
    from emoprune.cli import output
    from emoprune.cli.follow import notes_on
    from emoprune.commands.audit import audit as audited

    opened = _opened(run, runs)
    with notes_on():
        found = audited(
            opened,
            candidates=candidates,
            options=own_options(overrides, epochs),
            device=device.value,
            trust_code=trust_code,
        )
    output.audit(opened, found, as_json=as_json)


def recover(
    run: RunArgument,
    candidate: CandidateArgument,
    *,
    epochs: EpochsOption = None,
    formats: FormatsOption = None,
    overrides: OwnSetOption = None,
    device: DeviceOption = Device.CPU,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Win back what pruning cost a candidate, and measure it again."""
    from emoprune.cli import output
    from emoprune.cli.follow import notes_on
    from emoprune.commands.recovery import recover as recovered

    opened = _opened(run, runs)
    options = own_options(overrides, epochs, formats)
    with notes_on():
        found = recovered(opened, candidate, options=options, device=device.value, trust_code=trust_code)
    output.recovery(opened, found, as_json=as_json)


def report(run: RunArgument = "latest", *, runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Write report.html, one file for offline reading."""
    from emoprune.cli import output
    from emoprune.report.page import write_page

    opened = _opened(run, runs)
    path = write_page(opened, opened.path / "report.html")
    if as_json:
        output.write_object("report", {"run": opened.name, "path": str(path)})
    else:
        typer.echo(output.printable(str(path)))


def _opened(run: str, runs: Path) -> Run:
    from emoprune.run import find_run, open_run

    return open_run(find_run(run, runs))
