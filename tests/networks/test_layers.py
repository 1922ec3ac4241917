"""Layers with a gene each: which levels they have, what is shared between candidates, and the packed export."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods_for_tests import prepared
from networks_for_tests import network as small_network
from safetensors.numpy import load_file, save_file
from zoo_for_tests import IMAGES, SOUND, bench_of, images_for, zoo

from emoprune.contracts import Failure
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.layers.bit_widths import BitWidths
from emoprune.problems.networks.layers.packed import Treated, verify_packed, write_packed
from emoprune.problems.networks.layers.problem import Layerwise, for_activations
from emoprune.problems.networks.layers.treatments.bits import Rounding
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.layers.treatments.treater import Treater
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.records import Split
from emoprune.space import IntArray

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}
ZOO = {"network": "zoo_for_tests:network", "data": "zoo_for_tests:images_in_parts", "calibration_images": 32}


def residual(**options: Any) -> WeightRatios:  # the options under test, of whatever type
    return WeightRatios(**ZOO, **options)


def rows(problem: Layerwise, genomes: IntArray, split: Split = Split.SEARCH) -> list[list[float]]:
    found = problem.evaluate(np.atleast_2d(genomes), np.zeros(len(np.atleast_2d(genomes)), dtype=np.uint64), split)
    return [list(row) for row in found if not isinstance(row, Failure)]


# levels


def levels_of(shapes: list[tuple[int, ...]], treatment: Any) -> LayerLevels:  # of whatever kind
    parts = [Part(f"layer{n}", "Conv2d", None, None, positions=n + 1) for n in range(len(shapes))]
    return LayerLevels.of(list(zip(parts, shapes, strict=True)), treatment)


def test_of_levels_that_leave_the_same_the_highest_counts() -> None:
    levels = levels_of([(1, 4, 1, 1), (10, 10, 1, 1)], WeightShares.of([0.1, 0.25, 0.3, 0.9, 1]))
    assert [own.tolist() for own in levels.table] == [[1, 2, 4], [0, 1, 2, 3, 4]]
    assert levels.decode(np.array([[0, 0], [2, 4]])).tolist() == [[1, 0], [4, 4]]


def test_a_layer_that_no_level_changes_has_no_gene() -> None:
    levels = levels_of([(8, 3, 1, 1), (8, 4, 1, 1)], Patterns(4))
    assert levels.space.names == ("layer1",)
    assert levels.untouched == ("layer0",)


@settings(max_examples=60, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9), st.just(3), st.just(3)), min_size=1, max_size=4),
    treatment=st.sampled_from([WeightShares(), Patterns(3), Rounding()]),
    seed=st.integers(0, 10**6),
)
def test_different_genomes_leave_something_different_and_a_higher_gene_leaves_more(
    shapes: list[tuple[int, ...]], treatment: Any, seed: int
) -> None:
    levels = levels_of(shapes, treatment)
    unpruned = {"macs": 1e6, "parameters": 1e6, "bytes": 1e7}
    for layer in range(len(levels.layers)):
        genomes = np.tile(levels.space.full, (len(levels.table[layer]), 1))
        genomes[:, layer] = np.arange(len(genomes))
        counted = levels.counted(genomes, unpruned)
        sizes = [(own["parameters"], own["bytes"]) for own in counted]
        assert sizes == sorted(set(sizes))
        assert counted[-1] == unpruned
    if levels.layers:
        drawn = np.random.default_rng(seed).integers(0, levels.space.levels)
        assert levels.encode(levels.decode(drawn[np.newaxis])[0]).tolist() == drawn.tolist()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_genome_that_keeps_counts_keeps_them_and_one_level_less_would_not(seed: int) -> None:
    levels = levels_of([(6, 8, 3, 3), (4, 6, 1, 1)], WeightShares())
    counts = np.random.default_rng(seed).uniform(0.5, 1.0) * levels.sizes * np.random.default_rng(seed).random(2)
    genome = levels.keeping(counts)
    stay = levels.nonzeros[np.arange(2), levels.decode(genome[np.newaxis])[0]]
    assert (stay >= np.ceil(counts - 1e-6)).all()
    for layer in np.flatnonzero(genome):
        lower = levels.table[layer][genome[layer] - 1]
        assert levels.nonzeros[layer, lower] < counts[layer]


# what candidates share


@pytest.mark.parametrize("limit", [0, 3000, 10**9])
def test_a_network_is_the_same_whatever_is_remembered_and_no_more_is_kept_than_allowed(limit: int) -> None:
    network = zoo("mobilenet")
    levels, ranks = zoo_levels("mobilenet", Patterns(4))
    treater, fresh = Treater(network, levels, ranks, limit), Treater(network, levels, ranks, 0)
    rng = np.random.default_rng(1)
    for _ in range(8):
        wanted = levels.decode(rng.integers(0, levels.space.levels)[np.newaxis])[0]
        one, other = treater.variant(wanted), fresh.variant(wanted)
        assert one.versions == other.versions
        pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
        assert all(torch.equal(own, expected) for own, expected in pairs)
        assert treater.kept_bytes <= limit
    assert limit < 10**9 or treater.kept_bytes > 0


def zoo_levels(name: str, treatment: Any) -> tuple[LayerLevels, dict[str, torch.Tensor]]:
    bench = bench_of(name, 8)
    levels = LayerLevels.of(CostModel.of(bench.network, bench.structure).weight_shapes(), treatment)
    magnitudes = {part.path: bench.network.get_parameter(f"{part.path}.weight").abs() for part in levels.parts}
    return levels, {part.path: treatment.ranked(part, magnitudes[part.path]) for part in levels.parts}


def test_a_layer_remembered_is_the_very_same_tensor_in_the_next_network() -> None:
    levels, ranks = zoo_levels("vgg", WeightShares())
    treater = Treater(zoo("vgg"), levels, ranks, 10**8)
    first, second = (treater.variant(np.full(len(levels.layers), 3)) for _ in range(2))
    name = f"{levels.parts[0].path}.weight"
    assert first.network.get_parameter(name).data_ptr() == second.network.get_parameter(name).data_ptr()


def test_the_unpruned_genome_is_the_network_itself_with_its_own_statistics(tmp_path: Path) -> None:
    problem = prepared(WeightRatios(**SMALL, objectives=["loss", "kl"]), tmp_path)
    ((loss, kl),) = rows(problem, problem.space.full, Split.TEST)
    images = np.concatenate([part.numpy() for part in problem._loaded.bench.images[Split.TEST].batches])
    labels = problem._loaded.bench.images[Split.TEST].labels  # compares with what the user has
    with torch.no_grad():
        outputs = small_network().eval()(torch.from_numpy(images))
    assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(outputs, labels)), rel=1e-5)
    assert kl == pytest.approx(0, abs=1e-9)


def test_the_cache_is_split_between_activations_and_weights_and_never_exceeded() -> None:
    for megabytes in (0, 1, 7, 8, 1000, 1024):
        problem = WeightRatios(**SMALL, cache_megabytes=megabytes)
        assert for_activations(megabytes) * 2**20 + problem._weights_bytes <= megabytes * 2**20


def test_workers_get_ranks_and_references_but_nothing_that_setup_loaded(tmp_path: Path) -> None:
    problem = WeightRatios(**SMALL)
    problem.prepare(tmp_path, 1)
    before = len(pickle.dumps(problem))
    problem.setup("cpu", torch.get_num_threads())
    rows(problem, 0 * problem.space.full)
    assert len(pickle.dumps(problem)) == before


def test_ranks_and_references_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    prepared(WeightRatios(**SMALL, saliency="random"), tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = WeightRatios(**SMALL, saliency="random")
    again.prepare(tmp_path, 1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert {"ranks-random.safetensors", "references.json"} <= set(kept)


def test_automatic_precision_is_decided_once_and_kept(tmp_path: Path) -> None:
    problem = prepared(WeightRatios(**SMALL, precision="auto"), tmp_path)
    assert json.loads((tmp_path / "precision.json").read_text(encoding="utf-8"))["precision"] in {"float32", "bfloat16"}
    assert len(rows(problem, problem.space.full)) == 1


# the packed export


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("treatment", [WeightShares(), Patterns(4), Rounding()], ids=["shares", "patterns", "bits"])
def test_a_packed_network_takes_the_counted_bytes_and_has_code_of_its_own(
    name: str, treatment: Any, tmp_path: Path
) -> None:
    treated, unpruned_bytes = treated_zoo(name, treatment)
    assert write_packed(tmp_path, treated, torch.cat(images_for(4, 1).batches), {"source": name}) is None
    payload = sum(array.nbytes for array in load_file(tmp_path / "packed.safetensors").values())
    assert payload == treated.counted_bytes < unpruned_bytes


def treated_zoo(name: str, treatment: Any, seed: int = 3) -> tuple[Treated, int]:
    network = zoo(name)
    levels, ranks = zoo_levels(name, treatment)
    genome = np.random.default_rng(seed).integers(0, levels.space.levels - 1)
    wanted = levels.decode(genome[np.newaxis])[0]
    full = sum(tensor.nbytes for tensor in network.state_dict().values())
    unpruned = {"macs": 0.0, "parameters": 0.0, "bytes": float(full)}
    counted = levels.counted(genome[np.newaxis], unpruned)[0]
    variant = Treater(network, levels, ranks, 0).variant(wanted)
    return Treated(variant.network, network, levels, wanted, int(counted["bytes"])), full


@pytest.mark.parametrize(("name", "treatment"), [("regnet", WeightShares()), ("multiplied", Rounding())])
def test_a_fresh_process_unfolds_the_network_to_the_bit_and_runs_it(name: str, treatment: Any, tmp_path: Path) -> None:
    treated, _ = treated_zoo(name, treatment)
    images = torch.cat(images_for(4, 1).batches)
    write_packed(tmp_path, treated, images, {"source": name})
    verified = verify_packed(tmp_path, treated.network, images)
    assert verified["packed tensors the same to the bit"] == len(treated.network.state_dict())
    assert verified["packed max abs difference"] < 1e-4


def test_the_folder_loads_with_torch_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    treated, _ = treated_zoo("resnet", Patterns(4))
    write_packed(tmp_path, treated, torch.cat(images_for(4, 1).batches), {"source": "resnet"})
    code = (
        "import sys; sys.modules['emoprune'] = None; import torch; from unpack import load_network; "
        f"print(tuple(load_network()(torch.zeros(3, {', '.join(map(str, IMAGES))})).shape))"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout.strip() == "(3, 10)", ended.stderr


def test_a_weight_that_was_changed_after_writing_is_found(tmp_path: Path) -> None:
    treated, _ = treated_zoo("vgg", WeightShares())
    images = torch.cat(images_for(4, 1).batches)
    write_packed(tmp_path, treated, images, {"source": "vgg"})
    arrays = load_file(tmp_path / "packed.safetensors")
    name = next(name for name in arrays if name.endswith("::values"))
    arrays[name][0] = np.nextafter(arrays[name][0], np.float32(9))
    save_file(arrays, tmp_path / "packed.safetensors")
    with pytest.raises(ContractError, match=f"not the evaluated one: {name.split('::')[0]} differ"):
        verify_packed(tmp_path, treated.network, images)


def test_bytes_that_were_counted_wrongly_are_refused(tmp_path: Path) -> None:
    made, _ = treated_zoo("vgg", Patterns(4))
    wrong = Treated(made.network, made.unpruned, made.layers, made.levels, made.counted_bytes + 1)
    with pytest.raises(ContractError, match="bytes were counted, the packed network takes"):
        write_packed(tmp_path, wrong, torch.cat(images_for(4, 1).batches), {"source": "vgg"})
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    problem = prepared(WeightRatios(**SMALL), tmp_path / "run")
    (tmp_path / "export").mkdir()
    with pytest.raises(ConfigError, match="format: none is called 'zip'; expected some of packed, safetensors, "):
        problem.export_as(problem.space.full, tmp_path / "export", ["packed", "zip"], verify=True)
    assert not list((tmp_path / "export").iterdir())


@pytest.mark.slow
def test_all_formats_can_be_written_side_by_side_and_are_verified(tmp_path: Path) -> None:
    problem = prepared(residual(pattern="n:m", objectives=["loss", "bytes"]), tmp_path / "run")
    (tmp_path / "export").mkdir()
    found = problem.export_as(
        0 * problem.space.full, tmp_path / "export", ["packed", "safetensors", "torch-export"], verify=True
    )
    written = {path.name for path in (tmp_path / "export").iterdir()}
    assert {
        "packed.safetensors",
        "packed.json",
        "unpack.py",
        "model.safetensors",
        "model.pt2",
        "model.py",
        "README.md",
    } <= written
    assert found["packed bytes"] == found["bytes"] == problem.describe(0 * problem.space.full)["bytes"]
    assert "zeroed or rounded" in (tmp_path / "export" / "README.md").read_text(encoding="utf-8")


# what goes wrong


@pytest.mark.parametrize("kind", [WeightRatios, BitWidths])
def test_a_network_of_which_every_layer_is_ignored_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match="ignore: all convolutions and linear layers of the network are in it"):
        kind(**SMALL, ignore=["*"])


def test_a_network_that_no_level_changes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"none of its layers .* can be changed at any of the levels"):
        WeightRatios(**SMALL, pattern="n:m", m=64, ignore=["2"])


@pytest.mark.parametrize("kind", [WeightRatios, BitWidths])
def test_what_needs_prepare_or_setup_says_so(kind: Any, tmp_path: Path) -> None:
    problem = kind(**SMALL)
    with pytest.raises(ContractError, match=r"call prepare\(folder, seed\) first"):
        problem.references()
    problem.prepare(tmp_path, 1)
    with pytest.raises(ContractError, match=r"call setup\(device, threads\) first"):
        rows(problem, problem.space.full)
