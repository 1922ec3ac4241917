"""Whether a front can be believed: other samples, other data, other families, each with numbers that can be checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from language_for_tests import WORDS
from transformers_for_tests import SMALL, language_folder, sentences_folder

from emoprune.contracts import Audit
from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.objectives.perplexity import Perplexity
from emoprune.problems.networks.evaluation.quality import Quality
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.compressing import Compressed
from emoprune.problems.networks.transformers.audits.domains import domain_findings, ranking_finding
from emoprune.problems.networks.transformers.audits.families import families_findings
from emoprune.problems.networks.transformers.audits.fine_tuned import arms_findings
from emoprune.problems.networks.transformers.audits.samples import changed_by, sensitivity_findings
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.records import Candidate

UNITS = (4, 10)
PERPLEXITY = Quality("perplexity", Perplexity())


def plan(heads: list[int], neurons: list[int]) -> BlockPlan:
    return BlockPlan(0, True, np.array(heads), np.array(neurons))


def test_the_same_ranking_changes_nothing_and_the_reverse_one_everything_it_can() -> None:
    own = [plan([0, 1], [0, 1, 2, 3, 4])]
    same = changed_by(own, UNITS, [np.arange(4), np.arange(10)])
    other = changed_by(own, UNITS, [np.arange(4)[::-1], np.arange(10)[::-1]])
    assert (same.share, other.share) == (0.0, 1.0)
    assert same.chance == pytest.approx(0.5)


def test_whole_and_empty_groups_and_dropped_layers_say_nothing() -> None:
    gone = BlockPlan(0, False, np.array([1]), np.array([3]))
    reverse = [np.arange(4)[::-1], np.arange(10)[::-1]] * 2
    assert changed_by([plan([0, 1, 2, 3], []), gone], UNITS * 2, reverse).share == 0.0


def test_chance_is_what_random_rankings_change() -> None:
    own, rng = [plan([0, 3], [1, 5, 7])], np.random.default_rng(0)
    drawn = [changed_by(own, UNITS, [rng.permutation(units) for units in UNITS]) for _ in range(2000)]
    assert np.mean([each.share for each in drawn]) == pytest.approx(drawn[0].chance, abs=0.02)


def test_a_ranking_that_depends_on_the_sample_raises_an_alarm() -> None:
    rng = np.random.default_rng(0)
    steady = [np.arange(units) for units in UNITS]
    shaken = [rng.permutation(units) for units in UNITS]
    findings, rows = sensitivity_findings([[plan([0, 1], [0, 1, 2])]], UNITS, [steady], {"code": shaken})
    assert [finding.alarm for finding in findings] == [False, True]
    assert "Calibrated on code" in findings[1].sentence
    assert [row["calibrated on"] for row in rows] == ["sample 2 of the same text", "code"]


def test_a_front_that_is_tuned_to_its_text_has_a_gap_elsewhere() -> None:
    findings, rows = domain_findings(
        np.array([10.0, 11.0, 12.0]),
        {"same": np.array([20.0, 22.0, 24.0]), "other": np.array([20.0, 40.0, 60.0])},
        PERPLEXITY,
    )
    assert [finding.alarm for finding in findings] == [False, True]
    assert findings[0].value == pytest.approx(0.0)
    assert findings[1].value == pytest.approx((10 / 11 - 0.5 + 10 / 12 - 1 / 3) / 2)
    assert len(rows) == 4


def test_a_search_split_that_ranks_by_chance_raises_an_alarm() -> None:
    rng = np.random.default_rng(0)
    rising = np.arange(12, dtype=np.float64)
    assert not ranking_finding(rising, rising + rng.random(12), "loss", rng).alarm
    assert ranking_finding(rising, rng.random(12), "loss", rng).alarm
    assert ranking_finding(rising[:3], rising[:3], "loss", rng).alarm


def test_a_family_beats_pruning_only_with_fewer_bytes_and_better_quality() -> None:
    found = [
        Compressed("none", "unpruned", 100, 5.0),
        Compressed("pruning", "a", 80, 6.0),
        Compressed("pruning", "b", 40, 9.0),
        Compressed("rounding", "8 bits", 30, 5.1),
        Compressed("low rank", "half", 60, 8.0),
    ]
    findings, rows = families_findings(found, PERPLEXITY)
    assert {finding.name: finding.value for finding in findings} == {
        "beaten by rounding": 1.0,
        "beaten by low rank": 0.0,
    }
    assert [row["file bytes"] for row in rows] == [100, 80, 60, 40, 30]


def audited(problem: HeadsAndNeurons, folder: Path, **options: object) -> Audit:
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    chosen = [
        Candidate(number, each.genome, 0, "reference") for number, each in enumerate(problem.references()) if number
    ][:6]
    return problem.audit(chosen, folder, 1, **options)  # type: ignore[arg-type]  # options of its own


def test_a_language_model_s_audit_finds_all_that_it_promises(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(" ".join(WORDS * 60))
    problem = HeadsAndNeurons(**language_folder(tmp_path), **SMALL)
    found = audited(problem, tmp_path, other_data=str(tmp_path / "other.txt"), families=True)
    names = [finding.name for finding in found.findings]
    assert sum(name.startswith("masks, ") for name in names) == 3
    assert any(name.startswith("Kendall tau of perplexity") for name in names)
    assert any(name.startswith("perplexity kept, ") for name in names)
    rows = found.tables["families at their real bytes"]
    assert {row["family"] for row in rows} == {
        *("none", "pruning", "rounding", "low rank", "dropping layers", "pruning x rounding")
    }
    rounded = [row["file bytes"] for row in rows if row["family"] == "rounding"]
    assert rounded == sorted(rounded, reverse=True)
    unpruned = next(row for row in rows if row["family"] == "none")
    assert unpruned["share"] == 1.0
    assert unpruned["file bytes"] >= 25056 * 4


def test_sentences_are_audited_without_other_data_and_with_some(tmp_path: Path) -> None:
    names = sentences_folder(tmp_path)
    problem = HeadsAndNeurons(**names, task="text-classification", length=16, calibration=32, levels=4)
    found = audited(problem, tmp_path, other_data=names["data"])
    assert any(finding.name.startswith("error kept") for finding in found.findings)
    (tmp_path / "strange.tsv").write_text("sentence\tlabel\nthe cat\tgood\nthe dog\tbad\n")
    with pytest.raises(ConfigError, match=r"has classes \['bad', 'good'\], expected some of \['0', '1'\]"):
        audited(problem, tmp_path, other_data=str(tmp_path / "strange.tsv"))


def test_one_candidate_is_too_few_to_audit(tmp_path: Path) -> None:
    problem = HeadsAndNeurons(**language_folder(tmp_path), **SMALL)
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    with pytest.raises(ConfigError, match="expected at least 2 candidates"):
        problem.audit([Candidate(1, problem.references()[1].genome, 0, "reference")], tmp_path, 1)


def test_fine_tuning_judges_the_search_and_fresh_weights_stand_beside_inherited_ones(tmp_path: Path) -> None:
    problem = HeadsAndNeurons(
        **{**language_folder(tmp_path), **SMALL, "references": ["uniform"], "percentages": [90, 60]}
    )
    method = {"name": "fine-tuned", "epochs": 0.1, "repeats": 2, "scratch": True, "scratch_epochs": 0.1}
    found = audited(problem, tmp_path, method=method)
    names = {finding.name.split(" at ")[0] for finding in found.findings}
    assert {"Kendall tau over the front", "weights against shape", "criterion against random units"} <= names
    assert len(found.tables["along the front"]) == 2
    ways = {row["way"] for row in found.tables["fine-tuned and from scratch"]}
    assert ways == {"fine-tuned", "from scratch", "random units, fine-tuned"}


@pytest.mark.parametrize(
    ("scratch", "verdicts"),
    [([5.0, 5.1, 4.9], ("the weights matter", "it matters")), ([1.0, 1.1, 0.9], ("only the shape", "random units do"))],
)
def test_both_verdicts_on_inherited_weights_can_be_reached(scratch: list[float], verdicts: tuple[str, str]) -> None:
    ways = {
        "fine-tuned": np.array([2.0, 2.1, 1.9]),
        "from scratch": np.array(scratch),
        "random units, fine-tuned": np.array(scratch),
    }
    found = arms_findings(ways, "10 parameters", lambda values: values)
    assert all(verdict in finding.sentence for verdict, finding in zip(verdicts, found, strict=True))
    assert [finding.alarm for finding in found] == [scratch[0] < 2, scratch[0] < 2]


def test_a_reference_for_batch_norms_says_why_a_transformer_cannot_have_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'eagle-eye'.*batch norms whose statistics.*a transformer has none"):
        HeadsAndNeurons(**{**language_folder(tmp_path), **SMALL, "references": ["eagle-eye"]})
