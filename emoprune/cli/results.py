"""The commands on a run: where it stands, what it found, and what becomes of that."""

from __future__ import annotations

from collections.abc import Sequence
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
from emoprune.cli.wishing import meant, with_wishes

if TYPE_CHECKING:
    from emoprune.commands.wishes import Wishes
    from emoprune.run import Run

__all__ = ["audit", "compare", "export", "export_study", "pareto", "recover", "report", "select", "status"]


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


@with_wishes
def select(
    run: RunArgument = "latest", *, wishes: Wishes, runs: RunsOption = Path("runs"), as_json: JsonOption = False
) -> None:
    """Choose one candidate of the front by conditions, weights or marks, and say why and what its neighbours are."""
    from emoprune.cli import output
    from emoprune.commands.selection import select as selected

    opened = _opened(run, runs)
    output.selection(opened, selected(opened, wishes).as_json(), as_json=as_json)


@with_wishes
def export(
    run: RunArgument,
    candidate: CandidateArgument = None,
    *,
    wishes: Wishes,
    formats: FormatsOption = None,
    verify: Annotated[bool, typer.Option(help="Load again what was written, and compare.")] = True,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a candidate's pruned thing, verified, to disk; or those of the whole front."""
    from emoprune.cli import output
    from emoprune.commands.export import export as exported

    opened = _opened(run, runs)
    if candidate == "front" and not wishes.any:
        _export_front(opened, formats or (), verify=verify, trust_code=trust_code, as_json=as_json)
        return
    candidate = meant(opened, candidate, wishes)
    folder, said = exported(opened, candidate, formats=formats or (), verify=verify, trust_code=trust_code)
    written = {"run": opened.name, "candidate": candidate, "path": str(folder)}
    output.show("export", {**written, "verified" if verify else "not_verified": said}, as_json=as_json)


def _export_front(run: Run, formats: Sequence[str], *, verify: bool, trust_code: bool, as_json: bool) -> None:
    from emoprune.cli import output
    from emoprune.cli.follow import notes_on
    from emoprune.commands.export import export_front
    from emoprune.report.front_index import write_front_index

    with notes_on():
        found = export_front(run, formats=formats, verify=verify, trust_code=trust_code)
    folders = {number: folder for number, (folder, _) in found.items()}
    page = write_front_index(run, folders, run.path / "exports")
    facts = {"run": run.name, "page": str(page), "table": str(page.parent / "front.csv")}
    told = "verified" if verify else "not_verified"
    each = {str(number): {"path": str(folder), told: said} for number, (folder, said) in found.items()}
    output.show("export-front", {**facts, "candidates": each if as_json else list(each)}, as_json=as_json)


@with_wishes
def audit(
    run: RunArgument = "latest",
    *,
    wishes: Wishes,
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
            also=meant(opened, None, wishes) if wishes.any else "",
            options=own_options(overrides, epochs),
            device=device.value,
            trust_code=trust_code,
        )
    output.audit(opened, found, as_json=as_json)


@with_wishes
def recover(
    run: RunArgument,
    candidate: CandidateArgument = None,
    *,
    wishes: Wishes,
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
    candidate = meant(opened, candidate, wishes)
    options = own_options(overrides, epochs, formats)
    with notes_on():
        found = recovered(opened, candidate, options=options, device=device.value, trust_code=trust_code)
    output.recovery(opened, found, as_json=as_json)


def compare(
    first: RunArgument,
    others: Annotated[list[str], typer.Argument(metavar="RUN...", help="The runs to hold beside it.")],
    *,
    page: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a page, such as compare.html.")
    ] = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV, a row for each run.")] = False,
) -> None:
    """Hold runs beside each other: fronts, hypervolumes, what differs."""
    from emoprune.cli import output
    from emoprune.commands.comparing import compare as compared
    from emoprune.report.compare_page import write_comparison

    if as_json and as_csv:
        raise typer.BadParameter("expected --json or --csv, found both; leave one out")
    found = compared([_opened(name, runs) for name in (first, *others)]).as_json()
    if page is not None:
        write_comparison(found, page)
    output.comparison(found, page, as_json=as_json, as_csv=as_csv)


def export_study(
    run: RunArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new SQLite file, such as study.db.")],
    *,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Write a run as a study of Optuna's, which optuna-dashboard shows."""
    from emoprune.cli import output
    from emoprune.commands.study import export_study as exported

    opened = _opened(run, runs)
    count = exported(opened, file)
    shown = f"optuna-dashboard sqlite:///{file}"
    output.show("study", {"run": opened.name, "path": str(file), "trials": count, "look": shown}, as_json=as_json)


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
