"""Heads, neurons and layers as genes: every promise of a problem kept, and every mistake answered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from classifiers_for_tests import sentence_classifier, sentences, written_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from language_for_tests import drawn, llama, saved
from transformers_for_tests import IMAGES, SIZES, SMALL, language_folder, sentences_folder

from emoprune.contracts import Problem, blocks_of
from emoprune.errors import ConfigError
from emoprune.operators.level_switch import LevelSwitchMutation
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.genes import GeneLayout
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split
from emoprune.testing import ProblemConformance


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def names(place: Path) -> dict[str, str]:
    return language_folder(place)


class Conformance(ProblemConformance):
    genomes: ClassVar[int] = 3
    names: ClassVar[dict[str, str]]
    more: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.names = cls.written(tmp_path_factory.mktemp("model"))

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        return language_folder(place)

    def problem(self) -> Problem:
        return HeadsAndNeurons(**{**SMALL, **self.names, **self.more})


@pytest.mark.usefixtures("unverified")  # tests of exports wait for the fresh process, with this problem too
class TestLanguageModel(Conformance):
    pass


@pytest.mark.slow
class TestLanguageModelInBits(Conformance):
    more: ClassVar[dict[str, Any]] = {"genes": "bits", "bits": [4, 8, 32], "objectives": ["perplexity", "bytes"]}

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        return language_folder(place, llama(layers=2))


@pytest.mark.slow
class TestSentences(Conformance):
    more: ClassVar[dict[str, Any]] = {
        "task": "text-classification",
        "objectives": ["error", "macs"],
        "at_most": {"kl": 5.0},
    }

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        return sentences_folder(place)


@pytest.mark.slow
class TestImages(Conformance):
    more: ClassVar[dict[str, Any]] = {"task": "image-classification", "data": "digits", "calibration": 32}

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        from transformers import ViTConfig, ViTModel

        shape = {name: size for name, size in SIZES.items() if name != "vocab_size"}
        saved(place / "vit", drawn(ViTModel, ViTConfig(**shape, **{**IMAGES, "image_size": 12})), with_tokenizer=False)
        return {"model": str(place / "vit")}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 20), st.floats(0, 1), st.integers(1, 9))
def test_counts_that_can_be_taken_come_back_and_none_is_exceeded(
    data: st.DataObject, steps: int, smallest: float, round_to: int
) -> None:
    layout = GeneLayout(anatomy_of(llama(4, 2)), steps=steps, smallest=smallest, round_to=round_to)
    orders = [np.random.default_rng(group).permutation(units) for group, units in enumerate(layout.anatomy.units)]
    counts = [data.draw(st.integers(0, units)) for units in layout.anatomy.units]
    genome = layout.encode(counts, orders)
    assert layout.space.legal(genome)[0]
    for number, plan in enumerate(layout.decode(genome, orders)):
        for group, kept in ((2 * number, plan.heads), (2 * number + 1, plan.neurons)):
            assert len(kept) in layout.table[group]
            assert len(kept) <= max(counts[group], layout.floor(group), layout.table[group][0])
            assert set(kept.tolist()) == set(orders[group][: len(kept)].tolist())


def test_with_one_level_attention_and_feed_forward_networks_go_as_a_whole_and_change_places_among_their_kind() -> None:
    anatomy = anatomy_of(llama(4, 2))
    layout = GeneLayout(anatomy, steps=1, drop_layers=False)
    orders = [np.arange(units) for units in anatomy.units]
    genome = layout.space.full.copy()
    genome[[0, 3]] = 0
    first, second = layout.decode(genome, orders)[:2]
    assert (len(first.heads), len(second.neurons)) == (0, 0)
    assert (len(first.neurons), len(second.heads)) == (anatomy.units[1], anatomy.units[2])
    switched = LevelSwitchMutation()(layout.space, np.tile(genome, (50, 1)), np.random.default_rng(0))
    assert (switched != genome).any()
    assert (switched[:, 0::2].sum(axis=1) == genome[0::2].sum()).all()
    assert (switched[:, 1::2].sum(axis=1) == genome[1::2].sum()).all()


def test_the_first_blocks_of_sentences_have_short_and_long_ones(tmp_path: Path) -> None:
    """Batches are of similar lengths, the shortest first; who is given up after a few blocks has seen all kinds."""
    rows = written_rows(tmp_path / "rows.tsv", sentences(2400), ("no", "yes"))
    model = sentence_classifier(tmp_path / "model")
    problem = HeadsAndNeurons(model=str(model), task="text-classification", data=str(rows), length=16)
    batches, blocks = problem.open().task.parts["search"], problem._blocks.batches[Split.SEARCH]
    longest = [own.inputs["input_ids"].shape[1] for own in batches]
    assert sorted(row for block in blocks for row in block) == list(range(len(batches)))
    first = [longest[row] for block in blocks[: problem.grades[0]] for row in block]
    assert len(first) < len(longest)
    assert (min(first), max(first)) == (min(longest), max(longest))
    assert np.mean(first) == pytest.approx(np.mean(longest), rel=0.1)


def test_a_perplexity_follows_from_means_over_blocks_of_batches_and_one_batch_alone_is_measured_in_full(
    names: dict[str, str],
) -> None:
    problem = HeadsAndNeurons(**{**SMALL, **names, "search": 34, "objectives": ["perplexity", "macs"]})
    assert (list(problem.noisy), dict(problem.links)) == (["perplexity"], {"perplexity": "exp-mean"})
    assert problem.grades == (4, 9)
    assert sorted(problem.block_sizes(Split.SEARCH)) == [22.0] + [44.0] * 8, (
        "tokens that follow another, of 4 windows of 12"
    )
    assert HeadsAndNeurons(**{**SMALL, **names, "search": 4}).noisy == ()
    for objectives in (["perplexity", "milliseconds"], ["bytes", "macs"]):
        assert blocks_of(HeadsAndNeurons(**{**SMALL, **names, "objectives": objectives})) is None


def test_a_dropped_layer_has_one_genome_whatever_else_it_was_to_keep() -> None:
    layout = GeneLayout(anatomy_of(llama(4, 2)))
    genomes = np.tile(layout.space.full, (2, 1))
    genomes[:, 0] = 0
    genomes[1, 1:3] = 0
    canonical = layout.canonical(genomes)
    assert np.array_equal(canonical[0], canonical[1])
    assert layout.space.legal(canonical).all()


def test_one_layer_always_stays() -> None:
    space = GeneLayout(anatomy_of(llama(4, 2))).space
    genome = space.full.copy()
    genome[[0, 3]] = 0
    assert not space.legal(genome)[0]


def test_bits_of_a_large_model_are_refused_before_they_are_searched() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    wide = LlamaForCausalLM(LlamaConfig(**{**SIZES, "intermediate_size": 3000}))
    with pytest.raises(ConfigError, match="bits are too many to search, expected at most 4,096; use genes: levels"):
        GeneLayout(anatomy_of(wide), form="bits")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"length": 5000}, "length: the model takes at most 128 tokens, found 5000"),
        ({"length": 1}, "expected at least 2 tokens"),
        ({"test": 4000}, r"gives 333 windows, 4036 are asked for \(calibration 12, search 12, select 12, test 4000\)"),
        ({"data": "nowhere.txt"}, r"there is no file or folder 'nowhere\.txt'"),
        ({"data": {"train": "a", "search": "b"}}, "expected the name of one text"),
        (
            {"smallest": 0.9, "drop_layers": False, "at_most": {"parameters-share": 0.4}},
            "no candidate can ever meet parameters-share of at most 0.4, where no genome reaches less than 0",
        ),
        ({"smallest": 1.5}, "smallest: expected a share from 0 to 1, found 1.5"),
        ({"objectives": ["perplexty"]}, r"objectives: no objective is called 'perplexty'; did you mean 'perplexity'\?"),
        (
            {"objectives": ["perplexity", "pq-index"]},
            "objectives: 'pq-index' serves channels, .*, not heads-and-neurons",
        ),
        ({"criterion": "l1"}, "criterion: 'l1' serves channels, subnetworks, not heads-and-neurons"),
        ({"references": ["unifrom"]}, "references: no reference is called 'unifrom'; did you mean 'uniform'"),
        ({"percentages": [0]}, "percentages: expected whole numbers from 1 to 99"),
        ({"bits": [4, 3, 32]}, "bits: expected rising numbers from 2 to 8 and then 32"),
        ({"repair": "glue"}, "repair: no compensation is called 'glue'"),
        ({"task": "translation"}, "task: expected one of language-modelling"),
        ({"levels": 0}, "expected 1 or more, found 0 and 1"),
        ({"calibration": 0}, "calibration: expected 1 or more, found 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_the_reason(
    more: dict[str, Any], complaint: str, names: dict[str, str], tmp_path: Path
) -> None:
    def used() -> None:
        made = HeadsAndNeurons(**{**names, **SMALL, **more})
        made.prepare(tmp_path, 1)
        made.setup("cpu", 1)

    with pytest.raises(ConfigError, match=complaint):
        used()


def test_a_text_shorter_than_a_window_says_how_short_it_is(names: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("the cat sees")
    with pytest.raises(ConfigError, match=r"has 3 tokens, expected at least one window of 12"):
        HeadsAndNeurons(**{**names, **SMALL, "data": str(tmp_path / "short.txt")})


def test_a_classifier_for_too_few_classes_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    made = drawn(BertForSequenceClassification, BertConfig(**SIZES, num_labels=2))
    rows = ["sentence\tlabel", *(f"the cat\t{row % 3}" for row in range(60))]
    (tmp_path / "three.tsv").write_text("\n".join(rows))
    options = {"model": str(saved(tmp_path / "two", made)), "data": str(tmp_path / "three.tsv")}
    with pytest.raises(ConfigError, match="its classifier knows 2 classes, the data has 3"):
        HeadsAndNeurons(**options, task="text-classification", length=8)


def test_too_few_sentences_of_a_class_are_refused(tmp_path: Path) -> None:
    names = sentences_folder(tmp_path, rows=12)
    with pytest.raises(ConfigError, match=r"has 6 rows of class '0', expected at least 10"):
        HeadsAndNeurons(**names, task="text-classification", length=8)


def test_images_of_other_channels_are_refused(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    shape = {name: size for name, size in SIZES.items() if name != "vocab_size"}
    made = drawn(ViTModel, ViTConfig(**shape, image_size=16, patch_size=4, num_channels=3))
    place = saved(tmp_path / "vit", made, with_tokenizer=False)
    with pytest.raises(ConfigError, match="expected images of 3 channels, found 1"):
        HeadsAndNeurons(model=str(place), task="image-classification", data="digits", calibration=16)


def test_a_model_that_changed_since_has_another_fingerprint(names: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(names["model"], place)
    options = {**SMALL, "data": names["data"]}
    before = HeadsAndNeurons(**options, model=str(place)).fingerprint()
    assert HeadsAndNeurons(**options, model=names["model"]).fingerprint() == before
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert HeadsAndNeurons(**options, model=str(place)).fingerprint() != before


def test_the_pre_flight_names_kinds_sizes_and_bounds(names: dict[str, str]) -> None:
    found = HeadsAndNeurons(**{**names, **SMALL, "at_most": {"parameters-share": 0.5, "perplexity": 99.0}}).inspect()
    assert found.summary["parameters unpruned"] == 25056
    assert [row["attention"] for row in found.tables["layers"]] == ["grouped-query"] * 3
    assert [row["can be met"] for row in found.tables["bounds"]] == ["yes", "not known before measuring"]
    assert "query heads of one key and value go together" in found.notes[0]
    one_by_one = HeadsAndNeurons(**names, **SMALL, whole_groups=False).inspect()
    assert "a key and value head goes when none of its queries is left" in one_by_one.notes[0]


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        (HeadsAndNeurons, ["scores.safetensors", "references.json"]),
        (TransformerWeightRatios, ["references.json", "norms.safetensors"]),
    ],
)
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_files_that_a_kill_tore_while_the_problem_was_prepared_are_made_again(
    kind: Any, files: list[str], kept: float, names: dict[str, str], tmp_path: Path
) -> None:
    def prepared() -> dict[str, bytes]:
        sizes = {name: size for name, size in SMALL.items() if name != "levels"}
        kind(**names, **sizes).prepare(tmp_path, 1)
        return {name: (tmp_path / name).read_bytes() for name in files}

    whole = prepared()
    for name in files:
        (tmp_path / name).write_bytes(whole[name][: int(kept * len(whole[name]))])
    assert prepared() == whole


def test_a_torn_classifier_is_fitted_again(tmp_path: Path) -> None:
    names, path = sentences_folder(tmp_path), tmp_path / "run" / "classifier.safetensors"

    def fitted() -> bytes:
        options = {**names, "task": "text-classification", "length": 8, "references": ["uniform"]}
        HeadsAndNeurons(**options).prepare(path.parent, 1)
        return path.read_bytes()

    whole = fitted()
    path.write_bytes(whole[: len(whole) // 2])
    assert fitted() == whole


def test_references_stand_at_their_percentages_and_the_unpruned_comes_first(
    names: dict[str, str], tmp_path: Path
) -> None:
    own = {"levels": 12, "percentages": [80, 60], "criterion": "head-gates"}
    problem = HeadsAndNeurons(**{**names, **SMALL, **own})
    problem.prepare(tmp_path, 1)
    shares = {each.name: float(problem.describe(each.genome)["parameters share"]) for each in problem.references()}
    assert next(iter(shares)) == "unpruned"
    assert {"uniform-80", "global-criterion-60", "dropped-layers-80", "greedy-heads-40-gone"} <= set(shares)
    within = {name: share for name, share in shares.items() if name.endswith(("-80", "-60"))}
    assert all(share <= int(name[-2:]) / 100 for name, share in within.items())
