"""The page of a comparison: fronts over each other, hypervolumes as they grew, what differs; one file, offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from emoprune.report.compared import value_text
from emoprune.report.page import embedded, policy, source_of, template
from emoprune.report.wording import duration, labelled, number, plain
from emoprune.storage import write_atomically

__all__ = ["write_comparison"]


def write_comparison(found: Mapping[str, Any], path: Path) -> Path:
    """Write the page of a comparison as plain data, of `emoprune compare --json`; return `path`.

    The file needs no network and allows none; scripts other than its own do not run.

    Raises:
        StorageError: The file cannot be written; an old one is untouched.
    """
    from plotly.offline import get_plotlyjs  # a library of several megabytes, read only when a page is written

    library, script = Markup(get_plotlyjs()), Markup(source_of("compare.js"))  # noqa: S704  # both are part of the installation
    best = max(run["hypervolume"] for run in found["runs"])
    page = template("compare.html.j2").render(
        policy=policy([library, script]),
        style=Markup(source_of("report.css")),  # noqa: S704  # part of the installation
        library=library,
        script=script,
        data=embedded(_plots(found)),
        names=[plain(run["name"], 80) for run in found["runs"]],
        split=found["split"],
        point=", ".join(f"{plain(name)} {number(value)}" for name, value in found["reference_point"].items()),
        headings=[labelled(each["name"], each["unit"]) for each in found["objectives"]],
        rows=[_row(run, best) for run in found["runs"]],
        differing=[(plain(key), [value_text(value) for value in values]) for key, values in found["differing"].items()],
        notes=[plain(note, 1_000) for note in found["notes"]],
    )
    write_atomically(path, page)
    return path


def _row(run: Mapping[str, Any], best: float) -> list[str]:
    spent = duration(run["seconds"][-1]) if run["seconds"] else "-"
    share = f"{run['hypervolume'] / best:.1%}" if best > 0 else "-"
    facts = [
        str(run["seed"]),
        f"{run['evaluations']:,}",
        spent,
        str(len(run["front"])),
        number(run["hypervolume"]),
        share,
    ]
    return [*facts, *map(number, run["best"])]


def _plots(found: Mapping[str, Any]) -> dict[str, Any]:
    objectives = [
        {"label": labelled(each["name"], each["unit"]), "less": each["direction"] == "minimise"}
        for each in found["objectives"]
    ]
    kept = ("group", "front", "evaluated", "seconds", "hypervolumes")
    runs = [{"name": plain(run["name"], 80), **{key: run[key] for key in kept}} for run in found["runs"]]
    return {"objectives": objectives, "runs": runs, "surfaces": found["surfaces"], "split": found["split"]}
