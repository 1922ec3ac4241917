"""What the pages say is true: programs run, commands work, links lead somewhere, the tree is the tree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emoprune.commands import methods
from emoprune.config import EvaluationSettings, SearchSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "runs" / "README.md"])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Return the page's fenced blocks in these languages, in order: the language and the text."""
    found = FENCED.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if language in languages]


def file_name(text: str) -> str | None:
    """Return the name that a block's first line gives it, as in `# terms.py`."""
    named = re.match(r"# ([\w-]+\.\w+)\n", text)
    return named[1] if named else None


def shell(command: str, folder: Path, limit: float) -> None:
    """Run a command as a reader would, with this environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(  # noqa: S602  # the page's own command line, as it stands there
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit, check=False
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"


def follow(page: Path, folder: Path, limit: float) -> None:
    """Do what the page says, from top to bottom: files, programs and commands, each within `limit` seconds."""
    steps = blocks(page, "python", "yaml", "console")
    assert "console" in {language for language, _ in steps}
    for language, text in steps:
        name = file_name(text)
        if name is not None:
            (folder / name).write_text(text, encoding="utf-8")
        elif language == "python":
            (folder / "block.py").write_text(text, encoding="utf-8")
            shell("python block.py", folder, limit)
        for line in text.splitlines() if language == "console" else []:
            shell(line.removeprefix("$ "), folder, limit)


@pytest.mark.slow
@pytest.mark.alone  # its `ray stop` ends every Ray on the machine
@pytest.mark.timeout(900)
def test_every_command_in_the_readme_works_from_top_to_bottom(tmp_path: Path) -> None:
    try:
        follow(ROOT / "README.md", tmp_path, 300)
    finally:
        shell("ray stop", tmp_path, 60)
    runs = tmp_path / "runs"
    assert {run.name for run in runs.iterdir()} == {"first", "small", "clustered", "from-python"}
    assert list(runs.glob("first/exports/*/model.safetensors"))
    assert (runs / "first" / "report.html").stat().st_size > 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_on_networks_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-networks.md", tmp_path, 300)
    run = tmp_path / "runs" / "mine"
    assert (run / "audit.json").is_file()
    assert list(run.glob("recovered/*/model.safetensors"))
    assert list(run.glob("exports/*/model.pt2"))
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_on_transformers_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-transformers.md", tmp_path, 300)
    run = tmp_path / "runs" / "reviews"
    assert "families at their real bytes" in (run / "audit.json").read_text(encoding="utf-8")
    assert list(run.glob("recovered/*/model.safetensors"))
    assert list(run.glob("exports/*/narrowing.py"))
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_on_inference_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-inference.md", tmp_path, 300)
    runs = tmp_path / "runs"
    assert list(runs.glob("cache/exports/*/policy.json"))
    assert (runs / "attention" / "pareto.csv").is_file()
    assert (runs / "hierarchy" / "pareto.csv").is_file()
    assert list(runs.glob("tokens/exports/*/load_tokens.py"))
    assert undescribed(runs / "cache") == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_on_choosing_and_comparing_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "choose-and-compare.md", tmp_path, 300)
    assert (tmp_path / "runs" / "one" / "exports" / "index.html").is_file()
    assert (tmp_path / "compare.html").stat().st_size > 1_000_000
    assert undescribed(tmp_path / "runs" / "one") == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_tables_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-tables.md", tmp_path, 300)
    runs = tmp_path / "runs"
    assert list(runs.glob("loans/exports/*/features.json"))
    assert list(runs.glob("cancer/exports/*/model.txt"))
    assert list(runs.glob("stream/exports/*/stream.json"))
    assert (runs / "cancer" / "audit.json").is_file()
    assert undescribed(runs / "loans") == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_prompts_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-prompts.md", tmp_path, 300)
    runs = tmp_path / "runs"
    assert {path.name for path in runs.glob("reviews/exports/*/*")} >= {"prompt.txt", "prompt.json", "chat.json"}
    assert (runs / "words" / "pareto.csv").is_file()
    assert undescribed(runs / "reviews") == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_rules_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-rules.md", tmp_path, 300)
    run = tmp_path / "runs" / "tumours"
    assert list(run.glob("exports/*/rules.txt"))
    assert '<img src="data:image/svg+xml' in (run / "report.html").read_text(encoding="utf-8")
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_reservoirs_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-reservoirs.md", tmp_path, 300)
    run = tmp_path / "runs" / "small"
    assert list(run.glob("exports/*/reservoir.json"))
    assert '<img src="data:image/svg+xml' in (run / "report.html").read_text(encoding="utf-8")
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_gaussians_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-gaussians.md", tmp_path, 300)
    run = tmp_path / "runs" / "flower"
    assert list(run.glob("exports/*/splats.npz"))
    assert list(run.glob("recovered/*/splats.npz"))
    assert list((tmp_path / "runs" / "ball").glob("exports/*/point_cloud.ply"))
    assert '<img src="data:image/svg+xml' in (run / "report.html").read_text(encoding="utf-8")
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_training_rows_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "prune-samples.md", tmp_path, 300)
    run = tmp_path / "runs" / "digits"
    assert list(run.glob("exports/*/rows.json"))
    assert list(run.glob("recovered/*/student.safetensors"))
    assert '<img src="data:image/svg+xml' in (run / "report.html").read_text(encoding="utf-8")
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


def test_the_readme_names_every_exit_code_that_the_help_names() -> None:
    named = re.findall(r"^\| ([\d, ]+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    codes = {code.strip() for row in named for code in row.split(",")}
    helped = subprocess.run(
        [sys.executable, "-m", "emoprune", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert codes == set(re.findall(r"^ +(\d+) +\w", helped.stdout, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_pages_on_problems_and_runs_work_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "write-a-problem.md", tmp_path, 100)
    (inspection,) = [text for _, text in blocks(ROOT / "docs" / "run-folder.md", "python")]
    (tmp_path / "block.py").write_text(inspection, encoding="utf-8")
    shell("python block.py", tmp_path, 100)
    run = tmp_path / "runs" / "terms"
    assert list(run.glob("exports/**/model.json"))
    assert undescribed(run) == [], "left in the run's folder, but not in docs/run-folder.md"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_page_on_algorithms_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "write-an-algorithm.md", tmp_path, 120)
    assert (tmp_path / "runs" / "climbing" / "pareto.csv").is_file()


def test_every_setting_is_explained_and_its_default_is_the_default() -> None:
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert set(rows) == set(SearchSettings.model_fields)
    for name, value in SearchSettings().model_dump(mode="json").items():
        plain = value.get("name", value) if isinstance(value, dict) else value
        shown = f"[{value[0]['name']}]" if name == "repair" else plain
        assert rows[name].strip("` ") == ("none" if shown in (None, []) else str(shown))
    cluster = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    explained = {
        word for row in re.findall(r"^\| (`[^|]+`) \|", cluster, re.MULTILINE) for word in re.findall(r"\w+", row)
    }
    assert set(EvaluationSettings.model_fields) <= explained


def undescribed(run: Path) -> list[str]:
    """Return what lies in the run's folder, but not in the page about it."""
    page = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
    return [entry.name for entry in sorted(run.iterdir()) if not re.search(rf"[ `]{re.escape(entry.name)}[ /`]", page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n[a](b.md) [c](page.md) [d](#a-page) [e](page.md#f) [g](https://g.org)\n", encoding="utf-8"
    )
    assert broken_links(page) == ["b.md", "page.md#f"]


def broken_links(page: Path) -> list[str]:
    """Return the page's relative links that have no file, or no heading, at their end."""
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", prose)
    return [link for link in links if not re.match(r"[a-z]+:", link) and not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    place, _, heading = link.partition("#")
    target = page.parent / place if place else page
    return target.exists() and (not heading or heading in headings(target))


def headings(page: Path) -> set[str]:
    """Return the names by which the page's headings can be linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_page_of_methods_is_what_every_method_says_of_itself() -> None:
    written = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    ours = methods.page(methods.Wanted(package="emoprune"))
    assert written == ours, "write it anew: emoprune list methods --markdown --package emoprune > docs/methods.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_methods_of_ones_own_works_from_top_to_bottom(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "write-a-method.md", tmp_path, 300)


def test_the_tree_in_the_architecture_page_is_the_tree() -> None:
    tree = next(text for _, text in blocks(ROOT / "docs" / "architecture.md", "") if text.startswith("emoprune/"))
    shown = set(re.findall(r"^  (\S+)", tree, re.MULTILINE))
    entries = [path for path in (ROOT / "emoprune").iterdir() if path.suffix == ".py" or path.is_dir()]
    there = {f"{path.name}/" if path.is_dir() else path.name for path in entries} - {"__init__.py", "__pycache__/"}
    assert sorted(shown - there) == [], "in docs/architecture.md, but not in emoprune/"
    assert sorted(there - shown) == [], "in emoprune/, but not in docs/architecture.md"
    assert all((ROOT / folder).is_dir() for folder in re.findall(r"^(\w+)/", tree, re.MULTILINE))
