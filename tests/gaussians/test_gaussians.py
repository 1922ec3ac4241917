"""Pruned Gaussians: what is drawn, what is hidden, what is read and written, what is trained and what is refused."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emoprune import plugins
from emoprune.contracts import Problem
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.gaussians.criteria.contract import Evidence
from emoprune.problems.gaussians.criteria.efficiency import ComputationalEfficiency, LightPerTile
from emoprune.problems.gaussians.drawing import blended, blending, tiles_touched
from emoprune.problems.gaussians.genes import GaussianGenes, strata_of
from emoprune.problems.gaussians.harmonics import BAND_0
from emoprune.problems.gaussians.images import BUILT_IN, ImageScene, fitted, image_named, views_of
from emoprune.problems.gaussians.points import PointScene, made_points
from emoprune.problems.gaussians.problem import GaussiansProblem
from emoprune.problems.gaussians.sample import sample
from emoprune.problems.gaussians.scene import picture_of, seen, taken, tile_work
from emoprune.problems.gaussians.standalone.ply import read_ply, write_ply
from emoprune.problems.gaussians.standalone.splats import Splats
from emoprune.records import Split
from emoprune.testing import ProblemConformance, conformance

NAME = "gaussians"
SEED = np.zeros(1, dtype=np.uint64)


class TestGaussians(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return sample()


@pytest.mark.slow
class TestGaussiansOfAScene(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return sample(data="scene", objectives=["tile-work"])


for _kind in ("criterion", "reference", "objective", "recovery"):
    for _name, _entry in plugins.serving(_kind, NAME).items():
        if _entry.module.startswith("emoprune.problems.gaussians"):
            _class = conformance(_kind, _name, NAME, **({"genomes": 2} if _kind != "recovery" else {}))
            _quick = _entry.attr == "Ranked"
            globals()[f"Test{_entry.attr}"] = _class if _quick else pytest.mark.slow(_class)


def prepared(folder: Path, **options: Any) -> GaussiansProblem:
    problem = sample(**options)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def image_scene(name: str, size: int = 32, count: int = 80, steps: int = 40) -> ImageScene:
    pixels = image_named(name, size)
    tensors = {key: torch.from_numpy(own) for key, own in fitted(pixels, count, steps, 1).items()}
    return ImageScene(tensors, views_of(pixels, 1))


def splats(depth_of_hidden: int) -> ImageScene:
    """Return an opaque Gaussian over the middle of an image, others beside it, and a small one behind it."""
    rng = np.random.default_rng(0)
    count = 6
    centres = np.array([[16, 16], [4, 4], [28, 4], [4, 28], [28, 28], [16, 16]], dtype=np.float32)
    order = [*range(count - 1)]
    order.insert(depth_of_hidden, count - 1)
    arrays = {
        "centres": centres,
        "logs": np.log([[8, 8], [3, 3], [3, 3], [3, 3], [3, 3], [2, 2]]).astype(np.float32),
        "angles": np.zeros(count, dtype=np.float32),
        "opacities": np.full(count, 8.0, dtype=np.float32),
        "colours": rng.random((count, 3)).astype(np.float32),
    }
    tensors = {name: torch.from_numpy(own[order]) for name, own in arrays.items()}
    return ImageScene(tensors, views_of(image_named("checks", 32), 1))


def test_one_gaussian_is_drawn_as_the_formula_has_it() -> None:
    scene = splats(5)
    (view,) = scene.views["fit"]
    first = taken(scene.tensors, np.array([0]))
    found = blending(scene.flat(first, view), torch.tensor([[16.0, 16.0], [24.0, 16.0], [16.0, 31.0]]))
    opacity = torch.sigmoid(torch.tensor(8.0))
    expected = [0.99, float(opacity * np.exp(-0.5)), float(opacity * np.exp(-0.5 * (15 / 8) ** 2))]
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_light_of_a_pixel_is_given_away_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = splats(5)
    tensors = {**scene.tensors, "opacities": torch.from_numpy(rng.normal(size=6).astype(np.float32))}
    weights = blending(scene.flat(tensors, scene.views["fit"][0]), scene.views["fit"][0].everywhere)
    assert (weights >= 0).all()
    assert (weights.sum(dim=0) <= 1 + 1e-5).all()


def test_a_gaussian_hidden_behind_an_opaque_one_goes_first() -> None:
    hidden = splats(5)
    scores = ComputationalEfficiency()(Evidence(hidden, 0))
    assert scores[5] == 0 == scores.min()
    assert (scores[:5] > 0).all()
    before = splats(0)  # the same one in front is seen
    assert ComputationalEfficiency()(Evidence(before, 0))[0] > 0


def test_tiles_are_counted_by_the_box_around_three_deviations() -> None:
    scene = splats(5)
    flat = scene.flat(scene.tensors, scene.views["fit"][0])
    # 16 +- 24 pixels touch all 4 x 4 tiles; 4 +- 9 touch two by two; 16 +- 6 likewise.
    assert tiles_touched(flat, 32, 32).tolist() == [16, 4, 4, 4, 4, 4]


def test_what_numpy_draws_is_what_torch_draws() -> None:
    scene = image_scene("rings", 24, 30, 5)
    view, own = scene.views["fit"][0], scene.tensors
    arrays = (own["centres"], torch.exp(own["logs"]), own["angles"], torch.sigmoid(own["opacities"]), own["colours"])
    drawn = Splats(*(each.double().numpy() for each in arrays), rows=24, columns=24).image()
    np.testing.assert_allclose(drawn, picture_of(scene, own, view), atol=1e-4)


def test_parts_of_an_image_share_no_pixel() -> None:
    views = views_of(image_named("checks", 32), 1)
    places = [tuple(place) for own in views.values() for place in own[0].pixels.tolist()]
    assert len(places) == len(set(places)) == 32 * 32


def test_a_gaussian_in_space_is_seen_where_a_pinhole_sees_it() -> None:
    points = made_points(40)
    scene = PointScene.of(points, 32)
    (view, *_) = scene.views["test"]
    camera = view.camera
    np.testing.assert_allclose((camera.turn @ camera.turn.T).numpy(), np.eye(3), atol=1e-5)
    assert torch.linalg.det(camera.turn) == pytest.approx(1.0, abs=1e-5)
    flat = scene.flat(scene.tensors, view)
    depths = (scene.tensors["places"] @ camera.turn.T + camera.move)[flat.order, 2]
    assert (depths[1:] >= depths[:-1]).all(), "front to back"
    place = flat.order[0]
    local = camera.turn @ scene.tensors["places"][place] + camera.move
    expected = camera.focal * local[:2] / local[2] + 15.5
    np.testing.assert_allclose(flat.centres[0].numpy(), expected.numpy(), rtol=1e-4)
    assert blended(flat, view.everywhere).max() > 0.3


def test_covariances_are_projected_as_many_drawn_points_are() -> None:
    points = made_points(8)
    points["scale_0"], points["scale_1"], points["scale_2"] = np.log([0.02, 0.05, 0.03])[:, None]
    scene = PointScene.of(points, 64)
    view = scene.views["search"][0]
    flat = scene.flat(scene.tensors, view)
    place = int(flat.order[0])
    turns = scene.tensors["turns"][place] / scene.tensors["turns"][place].norm()
    w, x, y, z = turns.tolist()
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    drawn = np.random.default_rng(0).normal(size=(200_000, 3)) * [0.02, 0.05, 0.03] @ turn.T
    world = drawn + scene.tensors["places"][place].numpy()
    local = world @ view.camera.turn.numpy().T + view.camera.move.numpy()
    flat_points = view.camera.focal * local[:, :2] / local[:, 2:]
    np.testing.assert_allclose(
        np.cov(flat_points.T) + 0.3 * np.eye(2), flat.covariances[0].numpy(), rtol=0.05, atol=0.05
    )


def test_colours_may_depend_on_the_direction() -> None:
    plain = made_points(10)
    names = [*plain.dtype.descr, *((f"f_rest_{place}", "<f4") for place in range(45))]
    points = np.zeros(10, dtype=names)
    for name in plain.dtype.names or ():
        points[name] = plain[name]
    scene = PointScene.of(points, 16)
    same = PointScene.of(plain, 16)
    np.testing.assert_allclose(seen(scene, scene.tensors, "test")[0], seen(same, same.tensors, "test")[0], atol=1e-6)
    points["f_rest_1"] = 1.0  # red, by the second harmonic of the first degree: 0.4886 z
    turned = PointScene.of(points, 16)
    view = turned.views["test"][0]
    flat = turned.flat(turned.tensors, view)
    ways = turned.tensors["places"][flat.order] - view.camera.place
    red = 0.5 + BAND_0 * turned.tensors["plain"][flat.order, 0] + 0.4886025 * ways[:, 2] / ways.norm(dim=1)
    np.testing.assert_allclose(flat.colours[:, 0].numpy(), red.clamp(min=0).numpy(), atol=1e-5)


def test_point_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    points = made_points(25)
    write_ply(tmp_path / "a.ply", points)
    assert read_ply(tmp_path / "a.ply").tobytes() == points.tobytes()
    names = points.dtype.names or ()
    head = ["ply", "format ascii 1.0", "element vertex 25", *(f"property float {name}" for name in names), "end_header"]
    rows = [" ".join(repr(float(value)) for value in point) for point in points.tolist()]
    (tmp_path / "b.ply").write_text("\n".join([*head, *rows]) + "\n")
    np.testing.assert_array_equal(read_ply(tmp_path / "b.ply")["x"], points["x"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda own: own[:-40], "expected 25 vertices of 56 bytes, found 1360 bytes: it is cut off"),
        (lambda own: own[:50], "a header from 'ply' to 'end_header', found none"),
        (lambda own: b"not a ply", "a header from 'ply' to 'end_header'"),
        (lambda own: own.replace(b"opacity", b"opacite"), "found none called opacity"),
        (lambda own: own.replace(b"element vertex 25", b"element face 25"), "vertices and their number"),
        (lambda own: own.replace(b"little_endian", b"middle_endian"), "found 'binary_middle_endian'"),
        (
            lambda own: own.replace(b"property float x", b"property list uchar int x"),
            "properties with a type and a name",
        ),
        (lambda own: own[:-4] + b"\x00\x00\xc0\x7f", "expected finite numbers, found others in rot_3"),
    ],
)
def test_a_point_file_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_ply(tmp_path / "whole.ply", made_points(25))
    (tmp_path / "torn.ply").write_bytes(change((tmp_path / "whole.ply").read_bytes()))
    with pytest.raises(ConfigError, match=f"data: torn.ply cannot be read as a point file: .*{complaint}"):
        GaussiansProblem(data="torn.ply")


def grey() -> Any:
    return np.full((64, 64, 3), 0.5)


def flat_array() -> Any:
    return np.zeros((64, 64))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"data": f"{__name__}:grey"}, "an image of several colours, found one; one Gaussian would do"),
        ({"data": f"{__name__}:flat_array"}, r"shape \(rows, columns, 3\), found \(64, 64\)"),
        ({"data": "nowhere.png"}, "expected china, flower, digit, rings, checks, scene"),
        ({"data": "nowhere.ply"}, "there is no file 'nowhere.ply' here"),
        ({"data": "rings", "size": 4}, "size: expected 16 to 512, found 4"),
        ({"data": "rings", "gaussians": 1}, "gaussians: expected 10 to 5,000, found 1"),
        ({"data": "rings", "criteria": []}, "criteria: expected one or more"),
        ({"data": "rings", "criteria": ["opaque"]}, "criteria: .*'opaque'"),
        ({"data": "rings", "references": [{"name": "ranked", "percentages": [100]}]}, "whole numbers from 1 to 99"),
    ],
)
def test_what_cannot_be_pruned_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        GaussiansProblem(**options)


def test_an_image_file_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"data: torn\.png cannot be read as an image"):
        GaussiansProblem(data="torn.png")


@given(st.integers(2, 60), st.integers(0, 10_000))
def test_strata_hold_every_gaussian_once_and_genomes_that_keep_the_same_are_one(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    strata = strata_of(rng.random(count), rng.random(count))
    assert sorted(np.concatenate(list(strata.values())).tolist()) == list(range(count))
    genes = GaussianGenes({"one": rng.random(count), "other": rng.random(count)}, strata)
    genomes = np.array([rng.integers(0, genes.space.levels) for _ in range(10)])
    for genome, same in zip(genomes, genes.canonical(genomes), strict=True):
        if genome[1:].any():
            np.testing.assert_array_equal(genes.decoded(genome), genes.decoded(same))
            np.testing.assert_array_equal(genes.canonical(same[np.newaxis])[0], same)


@pytest.mark.slow
def test_training_wins_back_what_pruning_cost_and_sizes_pay_for_tiles(tmp_path: Path) -> None:
    problem = prepared(tmp_path, objectives=["tile-work"], steps=40)
    genome = problem.references()[2].genome
    ((mse, *_, work),) = problem.evaluate(genome[np.newaxis], SEED, Split.TEST)
    found = {}
    for name, method in (
        ("finetune", "finetune"),
        ("decay", {"name": "scale-decay", "weight": 0.01}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        found[name] = problem.recover(genome, folder, 1, method=method, steps=40).values["test"]
    assert found["finetune"]["mse"] < mse
    assert found["decay"]["tile-work"] < min(work, found["finetune"]["tile-work"])


def test_a_smaller_point_file_opens_and_keeps_every_property(tmp_path: Path) -> None:
    problem = prepared(tmp_path, data="scene", size=16)
    genome = problem.references()[2].genome
    said = problem.export(genome, tmp_path / "out")
    points = runpy.run_path(str(tmp_path / "out" / "ply.py"))["read_ply"](tmp_path / "out" / "point_cloud.ply")
    assert len(points) == said["Gaussians"] < 300
    whole = made_points()
    assert points.dtype.names == whole.dtype.names
    assert set(points["x"].tolist()) <= set(whole["x"].tolist())


@pytest.mark.slow
def test_an_export_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = prepared(tmp_path)
    monkeypatch.setattr("emoprune.problems.gaussians.images.ALLOWED", -1.0)
    with pytest.raises(ContractError, match=r"the reloaded image differs by .* from what was evaluated"):
        problem.export(problem.references()[0].genome, tmp_path / "out")


def test_pictures_show_before_and_after(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    picture = problem.picture(problem.references()[1].genome)
    assert picture.svg.count("data:image/png;base64,") == 3
    assert picture.caption.endswith("of 40 Gaussians")


def at_work(scene: ImageScene, scores: np.ndarray, budget: float) -> float:
    """Return the PSNR on held-out pixels of the Gaussians of the highest scores whose tile work fits a budget."""
    order = np.argsort(-scores, kind="stable")
    low, high = 1, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        fits = tile_work(scene, taken(scene.tensors, np.sort(order[:middle])), "test") <= budget
        low, high = (middle, high) if fits else (low, middle - 1)
    with torch.no_grad():
        colours, target = seen(scene, taken(scene.tensors, np.sort(order[:low])), "test")
    return float(-10 * torch.log10(torch.mean(torch.square(colours - target))))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BUILT_IN)
def test_at_equal_tile_work_light_per_tile_is_above_opacity(name: str) -> None:
    scene = image_scene(name, 48, 160, 120)
    budget = 0.8 * tile_work(scene, scene.tensors, "test")
    efficient = at_work(scene, LightPerTile()(Evidence(scene, 0)), budget)
    assert efficient > at_work(scene, scene.opacities(), budget)
