"""The page: one HTML file about a run that opens anywhere, offline, and shows everything a person asks of it."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from emoprune.report.front_table import nobody
from emoprune.report.marked import shares
from emoprune.report.page_audit import audit_shown
from emoprune.report.page_data import plots
from emoprune.report.page_pictures import pictures_shown
from emoprune.report.page_stages import stages_shown
from emoprune.report.page_text import failures, summary
from emoprune.report.ranking import Ranking, rank
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import labelled, plain, with_unit
from emoprune.storage import write_atomically

__all__ = ["embedded", "policy", "source_of", "template", "write_page"]


def write_page(run: ReadableRun, path: Path) -> Path:
    """Write the report of a run to `path`, replacing it atomically, and return `path`.

    The same run gives the same bytes. The file needs no network and allows none; scripts other than its own do not run.

    Raises:
        StorageError: The file cannot be written; an old one is untouched.
    """
    write_atomically(path, _page(run))
    return path


def _page(run: ReadableRun) -> str:
    from plotly.offline import get_plotlyjs  # a library of several megabytes, read only when a page is written

    ranking = rank(run)
    library, script = Markup(get_plotlyjs()), Markup(source_of("report.js"))  # noqa: S704  # both are part of the installation
    return template("report.html.j2").render(
        policy=policy([library, script]),
        style=Markup(source_of("report.css")),  # noqa: S704  # part of the installation
        library=library,
        script=script,
        data=embedded(plots(run, ranking)),
        name=plain(run.name),
        split=ranking.split.value,
        headings=[labelled(objective.name, objective.unit) for objective in ranking.objectives],
        front_size=len(ranking.front),
        nobody=nobody(ranking),
        surpassed=len(ranking.surpassed),
        sections=_sections(ranking),
        summary=summary(run, ranking),
        failures=failures(run.history),
        alarms=[plain(words, 1_000) for words in run.progress.alarms],
        audit=audit_shown(run),
        shares=shares(ranking, run.marked),
        pictures=pictures_shown(run, ranking),
        stages=stages_shown(run),
        point=_reference_point(run, ranking),
    )


def template(name: str) -> Template:
    """Return one of the templates of pages; what is put into it is escaped."""
    environment = Environment(
        loader=PackageLoader("emoprune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def source_of(name: str) -> str:
    """Return a style sheet or script that pages have inside."""
    return (resources.files("emoprune.report") / "templates" / name).read_text(encoding="utf-8")


def policy(scripts: list[Markup]) -> str:
    """Return a content security policy: these scripts, no others, and no connection to anywhere."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(value: object) -> Markup:
    """Return JSON that stays data inside a script element, whatever its texts contain."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: U+2028 is escaped already
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # nothing that HTML knows is left in it


def _sections(ranking: Ranking) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the rows of the table: the unpruned, the front, other references."""
    unpruned = [] if ranking.unpruned is None else [ranking.unpruned]
    front = [entry for entry in ranking.front if entry is not ranking.unpruned]
    references = [entry for entry in ranking.references if entry is not ranking.unpruned]
    cells = ranking.cells([*unpruned, *front, *references])
    return [
        (
            title,
            [{"id": entry.id, "cells": cells[entry.id], "notes": ", ".join(ranking.notes(entry))} for entry in entries],
        )
        for title, entries in (("Unpruned", unpruned), ("Front", front), ("Other references", references))
        if entries
    ]


def _reference_point(run: ReadableRun, ranking: Ranking) -> str:
    point = run.manifest.get("reference_point")
    if point is None:
        return "not fixed yet"
    return ", ".join(f"{each.name} {with_unit(point[each.name], each.unit)}" for each in ranking.objectives)
