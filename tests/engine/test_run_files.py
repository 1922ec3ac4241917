"""A run's files through damage, kills and edits: what is noticed, what is removed, and from where a run goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mutations_for_tests import unend
from searching_for_tests import copied_run

import emoprune
from emoprune.commands.export import export
from emoprune.doctor.checks import Health
from emoprune.doctor.repairing import repair
from emoprune.doctor.run_files import check_run
from emoprune.errors import ConfigError, RunCorrupt, StorageError
from emoprune.records import State
from emoprune.report.page import write_page
from emoprune.run import Run
from emoprune.storage import Journal, read_checked, unfinished, write_checked

RAN = ["worker", "seconds", "attempts"]
NOBODY = 2**22 + 1  # beyond the largest number of a process


def config(**search: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "problems_for_tests:Knapsack12", "noise": 0.02},
        "search": {"population": 10, "generations": 6, "seed": 3, **search},
        "evaluation": {"backend": "serial"},
    }


def finished(runs: Path, name: str, settings: Mapping[str, Any] | None = None) -> Run:
    return copied_run(settings or config(), runs, name)


def altered(path: Path, pattern: str, new: str) -> None:
    before = path.read_text()
    path.write_text(re.sub(pattern, new, before, count=1))
    assert path.read_text() != before


TEST = '"split":"test","status":"ok","values":{"loss":'
REPORTED = [
    ("remeasured.jsonl", f"{re.escape(TEST)}[^,]*", f"{TEST}-50"),
    ("history.jsonl", r'"loss":[^,]*', '"loss":-50'),
    ("generations.jsonl", r'"hypervolume":[^,]*', '"hypervolume":-50'),
    ("manifest.json", r'"candidate": 1', '"candidate": 7'),
    ("manifest.json", r'"worst": 1.0', '"worst": 2.0'),
    ("descriptions.json", r'"items": \d+', '"items": 50'),
    ("status.json", r'"evaluated": \d+', '"evaluated": 50'),
    ("pareto.csv", r"(?m)^(\d+),unpruned,", r"5\1,unpruned,"),
]


@pytest.mark.parametrize(("name", "before", "after"), REPORTED)
def test_a_number_that_was_altered_is_found_and_not_shown(tmp_path: Path, name: str, before: str, after: str) -> None:
    run = finished(tmp_path, "r")
    altered(run.path / name, before, after)
    wrong = [check for check in check_run(run.path) if check.health is Health.FAIL]
    assert any(name in check.found and "altered" in check.found for check in wrong)
    with pytest.raises(RunCorrupt, match=rf"{name}.* altered"):
        shown(run, name)


def shown(run: Run, name: str) -> None:
    if name == "pareto.csv":  # which is made from the others, and read by nobody here
        raise RunCorrupt(f"{name} was altered")
    if name == "status.json":
        _ = run.progress
    opened = emoprune.open_run(run.path)
    _ = opened.pareto
    write_page(opened, run.path / "report.html")


def test_a_line_of_brackets_names_file_and_line(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    path = run.path / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"[" * 200_000 + b"\n", *lines[5:]]))
    with pytest.raises(RunCorrupt, match=r"history\.jsonl:5: .*nested too deeply.*emoprune doctor RUN --repair"):
        _ = run.history


def test_a_key_that_has_another_name_is_named(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    path = run.path / "generations.jsonl"
    plain = [json.loads(line) for line in path.read_bytes().splitlines()]
    plain[2]["evaluatedx"] = plain[2].pop("evaluated")
    with Journal(path.with_name("new")) as journal:
        journal.append([{key: value for key, value in line.items() if key != "checksum"} for line in plain])
    path.with_name("new").replace(path)
    with pytest.raises(RunCorrupt, match=r"generations\.jsonl:3: evaluated: expected this key, found .*doctor"):
        _ = run.generations


def test_a_history_that_lost_a_line_in_its_middle_is_not_shown(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    path = run.path / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    with pytest.raises(RunCorrupt, match=r"its generations count 60 candidates, it holds 59 of them; .*--repair"):
        _ = run.pareto


def transplanted(run: Run, donor: Run, name: str) -> int:
    """Put the line of the other run's candidate, which is whole, in the place of a run's; return its number."""
    path, candidates = run.path / name, {}
    for line in (donor.path / name).read_bytes().splitlines():
        plain = json.loads(line)
        candidates[plain["candidate"], plain["split"]] = (line, plain["genome"])
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines):
        plain = json.loads(line)
        other, genome = candidates.get((plain["candidate"], plain["split"]), (line, plain["genome"]))
        if genome != plain["genome"]:
            lines[number] = other
            path.write_bytes(b"".join(each + b"\n" for each in lines))
            return number + 1
    raise AssertionError(f"the runs agree in {name}")


def assert_refused_everywhere(run: Run, words: str) -> None:
    """Check that doctor, pareto, report, export and resume all say these words of a run."""
    failures = [check.found for check in check_run(run.path) if check.health is Health.FAIL]
    assert any(re.search(words, found) for found in failures), failures
    page = run.path.parent / "page.html"
    verbs: list[Callable[[], object]] = [lambda: run.pareto, lambda: write_page(run, page)]
    verbs += [lambda: export(run, "knee"), lambda: export(run, "0")]
    verbs += [lambda: list(emoprune.resume(run.path))]
    for verb in verbs:
        with pytest.raises(RunCorrupt, match=words):
            verb()


def assert_mended(run: Run, whole: pd.DataFrame) -> None:
    """Check that the copy which the doctor makes is whole once it was resumed, with the numbers there were."""
    copy = repair(run.path).folder
    assert not [check for check in check_run(copy) if check.health is Health.FAIL]
    list(emoprune.resume(copy))
    shown = [name for name in whole if name not in {"wall_s", "worker"}]
    pd.testing.assert_frame_equal(Run(copy).pareto[shown], whole[shown])


def test_what_another_run_measured_of_a_candidate_of_the_same_number_is_not_shown(tmp_path: Path) -> None:
    run, donor = finished(tmp_path, "r"), finished(tmp_path, "donor", config(seed=4))
    whole = run.pareto
    number = transplanted(run, donor, "remeasured.jsonl")
    words = rf"remeasured\.jsonl:{number}: genome: expected .*history\.jsonl has for candidate .*--repair"
    assert_refused_everywhere(run, words)
    assert_mended(run, whole)


def test_that_is_seen_in_a_run_which_does_not_know_what_it_ended_with_as_well(tmp_path: Path) -> None:
    run, donor = finished(tmp_path, "r"), finished(tmp_path, "donor", config(seed=4))
    unend(run.path)
    transplanted(run, donor, "remeasured.jsonl")
    assert_refused_everywhere(run, r"remeasured\.jsonl:\d+: genome: expected")


@pytest.mark.parametrize("left", [None, 0, 1, -1])
def test_a_finished_run_knows_what_was_measured_again(tmp_path: Path, left: int | None) -> None:
    run = finished(tmp_path, "r")
    whole, path = run.pareto, run.path / "remeasured.jsonl"
    if left is None:
        path.unlink()
    else:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:left]))
    assert_refused_everywhere(run, r"remeasured\.jsonl: the run ended with \d+ lines in it.*it has \d+; restore it")
    assert_mended(run, whole)


def test_a_run_that_does_not_know_what_it_ended_with_opens_and_learns_it(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    unend(run.path)
    assert len(run.pareto)
    assert not [check for check in check_run(run.path) if check.health is Health.FAIL]
    list(emoprune.resume(run.path, overrides=["search.generations=7"]))
    lines = len((run.path / "remeasured.jsonl").read_bytes().splitlines())
    assert Run(run.path).manifest["held"]["remeasured.jsonl"]["lines"] == lines


def test_what_another_run_measured_on_the_search_split_is_not_shown(tmp_path: Path) -> None:
    run, donor = finished(tmp_path, "r"), finished(tmp_path, "donor", config(seed=4))
    unend(run.path)
    number = transplanted(run, donor, "history.jsonl")
    (run.path / "remeasured.jsonl").unlink()  # whose genomes would tell
    assert_refused_everywhere(run, rf"history\.jsonl:{number}: seed: expected .*: this line is of another run")


def test_what_was_measured_with_the_same_seed_by_another_problem_is_not_shown(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    donor = finished(tmp_path, "donor", {**config(), "problem": {"name": config()["problem"]["name"], "noise": 0.04}})
    unend(run.path)
    lines = (donor.path / "history.jsonl").read_bytes().splitlines(keepends=True)
    with_lines(run.path / "history.jsonl", lambda own: [*own[:5], lines[5], *own[6:]])
    assert_refused_everywhere(run, r"history\.jsonl.* was altered since its last checkpoint")


@pytest.mark.parametrize("kept", ["checkpoints", "held"])
def test_a_history_that_was_cut_with_what_counts_it_is_not_shown(tmp_path: Path, kept: str) -> None:
    run = finished(tmp_path, "r")
    path = run.path / "history.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-7]))
    (run.path / "generations.jsonl").unlink()
    if kept == "checkpoints":
        unend(run.path)
        words = r"checkpoint .*counts 60 candidates, history\.jsonl holds 53 of them"
        assert_refused_everywhere(run, rf"{words}|generations\.jsonl: expected a line for each of the 5 generations")
    else:
        shutil.rmtree(run.path / "checkpoints")
        words = r"history\.jsonl: the run ended with 60 lines in it.*it has 53; restore it"
        assert_refused_everywhere(run, rf"{words}|generations\.jsonl: the run ended with 6 lines in it")


def unfinished_run(runs: Path, name: str = "r", **search: Any) -> Run:
    """Return a run that ended as by a kill after generation 3: it never came to measure its front again."""
    searching = emoprune.search(config(**search), runs=runs, name=name)
    generations = iter(searching)
    for _ in range(4):
        next(generations)
    generations.close()
    return searching.run


def with_lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


LOST: list[Callable[[list[bytes]], list[bytes]]] = [
    lambda _: [],
    lambda lines: lines[:1],
    lambda lines: lines[:-2],
    lambda lines: [*lines[:1], *lines[2:]],
    lambda lines: [*lines[:1], *lines[:1], *lines[2:]],
]


@pytest.mark.parametrize("lose", LOST)
@pytest.mark.parametrize("make", [finished, unfinished_run])
def test_generations_that_were_lost_are_missed_and_made_again(
    tmp_path: Path, make: Callable[..., Run], lose: Callable[[list[bytes]], list[bytes]]
) -> None:
    run = make(tmp_path, "r")
    whole, front = run.generations.drop(columns="seconds"), run.pareto
    with_lines(run.path / "generations.jsonl", lose)
    assert_refused_everywhere(run, r"generations\.jsonl.*restore it from a copy, or let `emoprune doctor RUN --repair`")
    repaired = repair(run.path)
    assert any("made again" in words for words in repaired.left_out)
    assert not [check for check in check_run(repaired.folder) if check.health is Health.FAIL]
    copy = Run(repaired.folder)
    pd.testing.assert_frame_equal(copy.generations.drop(columns="seconds"), whole)
    pd.testing.assert_frame_equal(copy.pareto, front)
    list(emoprune.resume(copy))
    assert copy.progress.state is State.FINISHED


def test_a_file_of_generations_that_is_gone_is_missed(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    (run.path / "generations.jsonl").unlink()
    assert_refused_everywhere(run, r"generations\.jsonl: expected a line for each of the 5 generations before")
    shutil.rmtree(run.path / "checkpoints")
    assert_refused_everywhere(run, r"generations\.jsonl: the run ended with 6 lines in it.*it has 0")
    copy = Run(repair(run.path).folder)
    list(emoprune.resume(copy))
    assert copy.generations["generation"].tolist() == list(range(6))


@pytest.mark.parametrize("make", [finished, unfinished_run])
def test_generations_of_another_run_are_not_shown(tmp_path: Path, make: Callable[..., Run]) -> None:
    run, donor = make(tmp_path, "r"), finished(tmp_path, "donor", config(seed=4))
    whole = run.generations.drop(columns="seconds")
    lines = (donor.path / "generations.jsonl").read_bytes().splitlines(keepends=True)
    with_lines(run.path / "generations.jsonl", lambda own: [*own[:-1], lines[len(own) - 1]])
    assert_refused_everywhere(run, r"generations\.jsonl:\d: it was altered or exchanged: the newest checkpoint has")
    pd.testing.assert_frame_equal(Run(repair(run.path).folder).generations.drop(columns="seconds"), whole)


def test_an_earlier_generation_of_another_run_is_missed_in_a_finished_one(tmp_path: Path) -> None:
    run, donor = finished(tmp_path, "r"), finished(tmp_path, "donor", config(seed=4))
    lines = (donor.path / "generations.jsonl").read_bytes().splitlines(keepends=True)
    with_lines(run.path / "generations.jsonl", lambda own: [own[0], lines[1], *own[2:]])
    assert_refused_everywhere(run, r"generations\.jsonl: its first 6 lines are not those that the run ended with")


def test_a_generation_that_counts_other_evaluations_is_another_runs(tmp_path: Path) -> None:
    run, donor = finished(tmp_path, "r"), finished(tmp_path, "donor", config(population=8))
    unend(run.path)
    lines = (donor.path / "generations.jsonl").read_bytes().splitlines(keepends=True)
    with_lines(run.path / "generations.jsonl", lambda own: [own[0], lines[1], *own[2:]])
    words = r"generations\.jsonl:2: expected 20 evaluations, 0 of them failed, as in history\.jsonl, found 16 and 0"
    with pytest.raises(RunCorrupt, match=words):
        _ = run.pareto


def test_a_run_that_goes_on_from_an_earlier_checkpoint_and_is_killed_can_be_resumed(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    newest = max((run.path / "checkpoints").iterdir())
    newest.write_text("{}")
    searching = emoprune.resume(run, overrides=["search.generations=8"])
    generations = iter(searching)
    next(generations)  # the last one again
    assert "generations.jsonl" not in Run(run.path).manifest["held"]
    generations.close()
    assert len(Run(run.path).generations) == 6
    list(emoprune.resume(run, overrides=["search.generations=8"]))
    assert Run(run.path).manifest["held"]["generations.jsonl"]["lines"] == 8


@pytest.mark.parametrize("name", ["history.jsonl", "remeasured.jsonl"])
def test_what_another_run_measured_of_the_same_genome_is_not_shown(tmp_path: Path, name: str) -> None:
    run, donor = finished(tmp_path, "r"), finished(tmp_path, "donor", config(seed=4))
    unend(run.path)
    there = {json.loads(line)["genome"]: line for line in (donor.path / name).read_bytes().splitlines(keepends=True)}
    lines = (run.path / name).read_bytes().splitlines(keepends=True)
    number, foreign = next(
        (number, there[genome])
        for number, genome in enumerate(json.loads(line)["genome"] for line in lines)
        if genome in there
    )
    plain = json.loads(foreign) | {key: json.loads(lines[number])[key] for key in ("candidate", "split")}
    with Journal(tmp_path / "line") as journal:
        journal.append([{key: value for key, value in plain.items() if key != "checksum"}])
    with_lines(run.path / name, lambda own: [*own[:number], (tmp_path / "line").read_bytes(), *own[number + 1 :]])
    assert_refused_everywhere(run, rf"{name}:{number + 1}: seed: expected \d+, .*: this line is of another run")


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_whose_folder_goes_away_ends_with_what_to_do(tmp_path: Path, moved: bool) -> None:
    searching = emoprune.search(config(generations=50), runs=tmp_path, name="r")

    def all_of_it() -> None:
        for generation in searching:
            if generation.index == 1 and moved:
                searching.run.path.rename(tmp_path / "elsewhere")
            elif generation.index == 1:
                shutil.rmtree(searching.run.path)

    with pytest.raises(StorageError, match=r"gone.*put it back and resume the run with `emoprune resume`, or begin"):
        all_of_it()
    if moved:
        (tmp_path / "elsewhere").rename(tmp_path / "r")
        list(emoprune.resume(tmp_path / "r", overrides=["search.generations=50"]))
        assert Run(tmp_path / "r").progress.state is State.FINISHED


def test_a_resume_says_that_an_edited_config_is_not_what_it_goes_by(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    path = run.path / "config.yaml"
    path.write_text(f"# a remark\n{path.read_text()}")
    list(emoprune.resume(run))
    path.write_text(path.read_text().replace("generations: 6", "generations: 9"))
    with pytest.raises(ConfigError, match=r"config\.yaml was edited, but a resume goes by config\.resolved.*--set K"):
        emoprune.resume(run)
    warned = [check for check in check_run(run.path) if check.health is not Health.OK]
    assert [check.health for check in warned] == [Health.WARN]
    assert warned[0].found.endswith("config.yaml was edited, but a resume goes by config.resolved.json")
    assert warned[0].fix.startswith("give what shall change to `emoprune resume r --set KEY=VALUE`")
    path.unlink()
    assert len(list(emoprune.resume(run, overrides=["search.generations=7"]))) == 1


def test_an_altered_resolved_config_is_refused_by_every_reader(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    path = run.path / "config.resolved.json"
    altered(path, '"seed": 3', '"seed": 4')
    with pytest.raises(RunCorrupt, match=r"config\.resolved\.json: the file was altered.*--set KEY=VALUE"):
        emoprune.resume(run)
    with pytest.raises(RunCorrupt, match=r"config\.resolved\.json"):
        _ = run.pareto


def test_what_killed_processes_left_beside_and_in_runs_is_removed_by_the_next_run_and_nothing_else(
    tmp_path: Path,
) -> None:
    finished(tmp_path, "r")
    mine, lost = unfinished(tmp_path / "x", "partial"), unfinished(tmp_path / "y", "partial")
    lost = lost.with_name(lost.name.replace(f"-{os.getpid()}-", f"-{NOBODY}-"))
    old = tmp_path / ".z.0badcafe.partial"  # as an earlier version named them
    recent = tmp_path / ".w.0badcafe.partial"
    inside = tmp_path / "r" / "recovered" / lost.name
    for folder in (mine, lost, old, recent, inside):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    list(emoprune.resume(tmp_path / "r"))
    assert mine.is_dir()
    assert recent.is_dir()
    assert not lost.exists()
    assert not old.exists()
    assert not inside.exists()
    finished(tmp_path, "s")
    assert mine.is_dir()


def test_a_checkpoint_that_a_kill_left_too_many_is_removed_by_the_next_resume(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    folder = run.path / "checkpoints"
    before = sorted(path.name for path in folder.iterdir())
    assert len(before) == 3
    shutil.copy(folder / before[0], folder / "gen-00000.json")
    list(emoprune.resume(run))
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("damage", ["checksum", "missing key", "1e999", "another state"])
def test_whatever_is_wrong_with_a_checkpoint_the_one_before_is_used_and_both_are_named(
    tmp_path: Path, damage: str
) -> None:
    whole = finished(tmp_path, "whole", config(generations=8))
    run = finished(tmp_path, "r", config(generations=5))
    newest = max((run.path / "checkpoints").iterdir())
    body = read_checked(newest)
    if damage == "missing key":
        del body["evolution"]["rng"]
    elif damage == "another state":
        body["evolution"]["state"] = {"ids": [1, 2]}
    write_checked(newest, body)
    text = newest.read_text()
    if damage == "1e999":
        newest.write_text(re.sub(r'"hypervolume":[\d.]+', '"hypervolume":1e999', text))
    elif damage == "checksum":
        newest.write_text(re.sub(r'"hypervolume":[\d.]+', '"hypervolume":1.0', text))
    searching = emoprune.resume(run, overrides=["search.generations=8"])
    list(searching)
    said = " ".join(searching.warnings)
    assert f"checkpoint {newest.name} is damaged" in said
    assert f"goes on from checkpoint gen-00003.json instead of {newest.name}" in said
    pd.testing.assert_frame_equal(whole.history.drop(columns=RAN), searching.run.history.drop(columns=RAN))


@pytest.mark.parametrize("name", ["descriptions.json", "pareto.csv", "pareto.schema.json", "config.yaml"])
def test_a_file_that_a_finished_run_has_lost_is_named(tmp_path: Path, name: str) -> None:
    run = finished(tmp_path, "r")
    assert {check.health for check in check_run(run.path)} == {Health.OK}
    (run.path / name).unlink()
    (warned,) = [check for check in check_run(run.path) if check.health is not Health.OK]
    assert (warned.name, warned.health, warned.found) == (name, Health.WARN, "it is gone")
    list(emoprune.resume(run.path))
    assert (run.path / name).exists() is (name != "config.yaml")


def test_a_run_without_its_resolved_config_is_refused_by_name(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    (run.path / "config.resolved.json").unlink()
    verbs: list[Callable[[], object]] = [lambda: export(run, "knee"), lambda: list(emoprune.resume(run.path))]
    for verb in (*verbs, lambda: repair(run.path)):
        with pytest.raises(RunCorrupt, match=rf"cannot read {re.escape(str(run.path))}/config\.resolved\.json"):
            verb()


def _warned(run: Run) -> list[str]:
    return [check.found for check in check_run(run.path) if check.health is not Health.OK]


def test_a_run_whose_checkpoints_were_removed_goes_on(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    whole = run.pareto
    max((run.path / "checkpoints").iterdir()).unlink()
    assert _warned(run) == ["there is none of generation 5, which was finished"]
    shutil.rmtree(run.path / "checkpoints")
    assert _warned(run) == ["there is none of generation 5, which was finished"]
    list(emoprune.resume(run.path, overrides=["search.generations=7"]))
    assert run.generations["generation"].tolist() == list(range(7))
    assert set(whole["candidate_id"]) & set(run.pareto["candidate_id"])
