"""Recovery: pruned networks are trained to be better again, repeatably, and nothing but the copy changes."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from digits_for_tests import digits_bench, digits_data, digits_slicer, trained_digits_network
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from zoo_for_tests import IMAGES, SOUND, structure_of_zoo, zoo

from emoprune import plugins
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.measures import scores_of
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.evaluation.scoring import LoadedImages, finite_outputs_of
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.copying import drawn_anew, trainable
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.recover import recovered
from emoprune.problems.networks.recovery.targets import Distilled, Labels
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

SHORT = Plan(1, 0.02, 32)


def training(count: int = 96, seed: int = 0) -> TrainingImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((count, *IMAGES), generator=generator)
    return TrainingImages(images, torch.randint(10, (count,), generator=generator))


def state_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def halved(name: str) -> nn.Module:
    structure = structure_of_zoo(name)
    return pruned_module(zoo(name), structure, [np.arange(0, group.units, 2) for group in structure.groups])


@pytest.mark.parametrize("name", SOUND)
def test_every_pruned_network_can_be_trained_and_stays_as_it_was_itself(name: str) -> None:
    network = halved(name)
    before = state_of(network)
    found = trained(network, training(), SHORT, seed=1)
    after = found.network.state_dict()
    assert equal(before, state_of(network))
    assert {key: tensor.shape for key, tensor in after.items()} == {key: tensor.shape for key, tensor in before.items()}
    parameters = dict(found.network.named_parameters())
    assert all(not torch.equal(parameter, before[key]) for key, parameter in parameters.items())
    assert not any(module.training for module in found.network.modules())
    assert not any(parameter.requires_grad for parameter in parameters.values())
    assert found.seen == 96


def test_equal_seeds_train_equal_weights_on_any_number_of_threads() -> None:
    network, made = halved("resnet"), []
    for seed, threads in ((1, 1), (1, 2), (2, 1)):
        torch.set_num_threads(threads)
        made.append(state_of(trained(network, training(), SHORT, seed=seed).network))
        assert torch.get_num_threads() == threads
    assert equal(made[0], made[1])
    assert not equal(made[0], made[2])


def test_the_layout_in_which_candidates_are_scored_does_not_change_the_training() -> None:
    network = halved("resnet")
    one = state_of(trained(network, training(), SHORT, seed=1).network)
    network.to(memory_format=torch.channels_last)
    assert equal(one, state_of(trained(network, training(), SHORT, seed=1).network))


def test_torchs_own_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    trained(trained_digits_network(), digits_training(64), SHORT, seed=1)  # has dropout
    drawn_anew(zoo("resnet"), 3)
    assert torch.equal(before, torch.get_rng_state())


def test_tensors_made_in_inference_mode_can_be_trained() -> None:
    with torch.inference_mode():
        network = pruned_module(zoo("vgg"), structure_of_zoo("vgg"), structure_of_zoo("vgg").full)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean = module.running_mean * 1.5
    assert trained(network, training(32), SHORT, seed=0).seen == 32


def test_one_tensor_under_two_names_stays_one() -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    made = trainable(tied)
    assert made[2].weight is made[0].weight
    assert made[0].weight is not tied[0].weight


def digits_training(count: int | None = None) -> TrainingImages:
    return TrainingImages.load(digits_data().train, "cpu", count)


def won_back(
    variant: Variant, bench: Bench, method: str | dict[str, Any] = "finetune", seed: int = 0, **plan: Any
) -> Any:
    """Return the network that a recovery by its name and options makes of a variant."""
    recovery = plugins.method("recovery", method, "channels", option="method")
    case = NetworkCase(variant.network, bench, digits_data().train, Plan(**{"epochs": 10.0, **plan}), seed)
    return recovered(recovery, case)


def values_on(network: nn.Module, images: LoadedImages) -> dict[str, float]:
    """Return error, loss and divergence from the unpruned network of a network on images."""
    unpruned = finite_outputs_of(digits_bench().network, images)
    return scores_of(finite_outputs_of(network, images), images.labels, unpruned, frozenset({"error", "loss", "kl"}))


def pruned() -> Variant:
    return digits_slicer().variant(np.array([10, 10, 20, 20, 16]))


@pytest.mark.parametrize("method", ["finetune", "distil"])
def test_a_pruned_network_wins_back_much_of_what_it_lost(method: str) -> None:
    bench, variant = digits_bench(), pruned()
    network = won_back(variant, bench, method, seed=1, epochs=4)
    for images in bench.images.values():
        before, after = (values_on(own, images) for own in (variant.network, network))
        assert after["error"] < before["error"] / 2
        assert after["loss"] < before["loss"]
        assert after["kl"] < before["kl"]


def test_with_all_its_weight_on_the_teacher_a_network_follows_it_whatever_the_labels_say() -> None:
    bench, start = digits_bench(), pruned().network
    own = digits_training()
    wrong = TrainingImages(own.images, torch.roll(own.labels, 1))
    target = Distilled.by(bench.network, own.images, varied=False, weight=1.0)
    taught = trained(start, wrong, Plan(4), seed=0, target=target).network
    untaught = trained(start, wrong, Plan(4), seed=0).network
    errors = [values_on(network, bench.images[Split.TEST])["error"] for network in (taught, untaught)]
    assert errors[0] < 0.3
    assert errors[1] > 0.7


def test_the_distilling_loss_is_the_one_worked_out_by_hand() -> None:
    outputs, taught = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[math.log(9.0), 0.0]])
    labels, rows, images = torch.tensor([1]), torch.tensor([0]), torch.zeros(1, 1, 1, 1)
    target = Distilled(nn.Identity(), taught, temperature=2.0, weight=0.75)
    # at temperature 2 the teacher says 3/4 to 1/4, the network 1 to sqrt 3
    own = np.array([1.0, math.sqrt(3.0)]) / (1 + math.sqrt(3.0))
    divergence = 0.75 * math.log(0.75 / own[0]) + 0.25 * math.log(0.25 / own[1])
    expected = 0.25 * -math.log(0.75) + 0.75 * 4 * divergence
    assert float(target(outputs, labels, images, rows)) == pytest.approx(expected, rel=1e-5)


def test_without_weight_on_the_teacher_distilling_is_fine_tuning() -> None:
    own, network = training(64), halved("vgg")
    target = Distilled.by(zoo("vgg"), own.images, varied=False, weight=0.0)
    one, other = (trained(network, own, SHORT, seed=2, target=each).network for each in (target, Labels()))
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name])


def test_a_teacher_that_is_asked_again_for_each_batch_teaches_the_same() -> None:
    own, network = training(64), halved("vgg")
    losses = [
        trained(network, own, SHORT, seed=2, target=Distilled.by(zoo("vgg"), own.images, varied=varied)).losses
        for varied in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_recovery_never_ends_worse_on_select_than_it_began() -> None:
    bench, network = digits_bench(), trained_digits_network()
    before = values_on(network, bench.images[Split.SELECT])["error"]
    unpruned = Variant(network, {}, adapted=False)
    # a rate that spoils the network for good
    after = won_back(unpruned, bench, epochs=1, peak_rate=30.0)
    assert values_on(after, bench.images[Split.SELECT])["error"] <= before


def test_the_weights_of_the_best_epoch_on_held_out_images_are_the_ones_returned() -> None:
    bench = digits_bench()
    start, select = pruned().network, bench.images[Split.SELECT]
    plan = Plan(4, 0.3, weight_decay=0.0)
    found = trained(start, digits_training(), plan, seed=3, held_out=select)
    again = trained(start, digits_training(), plan, seed=3, held_out=select)
    assert 1 <= found.epoch <= 4
    last = trained(start, digits_training(), plan, seed=3)
    assert last.epoch == 4
    errors = [values_on(own.network, select)["error"] for own in (found, last)]
    assert errors[0] <= errors[1]
    assert equal(state_of(found.network), state_of(again.network))


def test_neither_search_nor_test_images_decide_anything_of_a_recovery() -> None:
    bench = digits_bench()
    unseen = LoadedImages((torch.full((4, 1, 8, 8), math.nan),), torch.zeros(4, dtype=torch.int64))
    blind = replace(bench, images={**bench.images, Split.SEARCH: unseen, Split.TEST: unseen})
    one, other = (won_back(pruned(), each, seed=5, epochs=1) for each in (bench, blind))
    assert equal(state_of(one), state_of(other))


def test_weights_that_are_frozen_at_zero_stay_exactly_zero_and_the_others_move() -> None:
    network = zoo("resnet")
    weight = network.get_parameter("block1.first.0.weight")
    mask = weight.abs() < weight.abs().median()
    found = trained(network, training(), Plan(2, 0.1, 32), seed=0, frozen_zeros={"block1.first.0.weight": mask})
    after = found.network.get_parameter("block1.first.0.weight")
    assert int(mask.sum()) > 0
    assert (after[mask] == 0).all()
    assert (after[~mask] != weight[~mask]).all()


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ContractError, match="no such parameter"):
        trained(zoo("vgg"), training(), SHORT, 0, frozen_zeros={"nowhere.weight": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(ContractError, match=r"boolean mask of the parameter's shape \(\(8, 1, 3, 3\)\)"):
        trained(zoo("vgg"), training(), SHORT, 0, frozen_zeros={"0.0.weight": torch.ones(8, dtype=torch.bool)})
    with pytest.raises(ContractError, match=r"found torch\.float32"):
        trained(zoo("vgg"), training(), SHORT, 0, frozen_zeros={"0.0.weight": torch.ones(8, 1, 3, 3)})


def test_a_training_that_diverges_says_what_to_lower() -> None:
    own = training(64)
    broken = TrainingImages(own.images * 1e30, own.labels)
    with pytest.raises(ConfigError, match=r"retraining: diverged in epoch 1 of 2 .*lower the learning rate below 1000"):
        trained(zoo("convnext"), broken, Plan(2, 1000.0), seed=0, label="retraining")


def test_a_network_whose_outputs_are_not_finite_is_not_measured() -> None:
    network = trainable(trained_digits_network())
    with torch.no_grad():
        network.get_parameter("classifier.bias").fill_(math.inf)
    with pytest.raises(ContractError, match="not finite"):
        values_on(network.eval(), digits_bench().images[Split.TEST])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"method": "prayer"}, "method: no recovery is called 'prayer'"),
        ({"epochs": 0}, "epochs: expected a number above 0"),
        ({"epochs": math.nan}, "epochs: expected a number above 0"),
        ({"peak_rate": -1}, "peak_rate: expected a number above 0"),
        ({"batch": 1}, "batch: expected at least 2"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"shift": -1}, "shift"),
        ({"method": {"name": "distil", "temperature": 0}}, "temperature"),
        ({"method": {"name": "distil", "weight": 1.5}}, "weight: expected the teacher's share"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        won_back(pruned(), digits_bench(), **options)


def test_each_epoch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="emoprune"):
        trained(halved("vgg"), training(32), Plan(2), seed=0, label="recovery")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(": loss")[0] for line in lines] == ["recovery: epoch 1 of 2", "recovery: epoch 2 of 2"]


@given(st.integers(1, 400), st.floats(0, 0.9), st.integers(2, 6))
def test_the_rate_rises_and_falls_within_its_peak_and_a_longer_plan_is_the_same_one_stretched(
    steps: int, warm_up: float, factor: int
) -> None:
    plan = Plan(1, 0.5, warm_up=warm_up)
    rates = [plan.rate(step, steps) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates)
    top = int(np.argmax(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    stretched = [plan.rate(step, steps * factor) for step in range(steps * factor)]
    # by as much as one step of the short plan can change the rate
    step_at_most = 0.5 * min(1.0, math.pi / 2 / ((1 - warm_up) * steps) + (1 / (warm_up * steps) if warm_up else 0))
    middles = [stretched[factor * step + factor // 2] for step in range(steps)]
    assert np.max(np.abs(np.array(middles) - rates)) <= step_at_most + 1e-9


def test_a_fraction_of_an_epoch_is_so_many_steps() -> None:
    own = training(96)
    assert trained(halved("vgg"), own, Plan(0.5, batch=16), seed=0).seen == 48
    assert trained(halved("vgg"), own, Plan(1.5, batch=16), seed=0).seen == 144


def test_no_batch_is_a_single_image() -> None:
    sizes = {
        count: [len(part) for part in torch.arange(count).tensor_split(Plan(1).batches(count))]
        for count in range(2, 400)
    }
    assert all(min(parts) > 1 for parts in sizes.values())


def test_fewer_training_images_are_spread_evenly_over_all() -> None:
    images = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    part = LabelledImages(images, np.arange(10))
    assert TrainingImages.load(part, "cpu", 5).labels.tolist() == [0, 2, 4, 6, 8]
    assert len(TrainingImages.load(part, "cpu", 50)) == 10
    with pytest.raises(ConfigError, match="at least 2"):
        TrainingImages.load(part, "cpu", 1)


@pytest.mark.parametrize("name", SOUND)
def test_fresh_weights_have_the_shape_and_nothing_of_what_was_learnt(name: str) -> None:
    network = halved(name)
    before = state_of(network)
    made, again, other = (drawn_anew(network, seed) for seed in (1, 1, 2))
    assert equal(before, state_of(network))
    assert equal(state_of(made), state_of(again))
    assert not equal(state_of(made), state_of(other))
    for key, parameter in made.named_parameters():
        assert parameter.shape == before[key].shape
        if key.endswith(".weight") and parameter.ndim > 1:
            assert not torch.equal(parameter, before[key])
    for key, buffer in made.named_buffers():
        if key.endswith("running_mean"):
            assert (buffer == 0).all()


def test_fresh_weights_are_drawn_for_the_width_that_is_left() -> None:
    narrow = pruned_module(zoo("vgg"), structure_of_zoo("vgg"), [np.arange(1) for _ in structure_of_zoo("vgg").groups])
    drawn = [drawn_anew(narrow, seed).get_parameter("2.0.weight").detach() for seed in range(50)]
    # torch draws a convolution's weights up to 1 / sqrt(fan-in): here 9, where the unpruned one's is 72
    assert 0.9 / 3 < float(torch.stack(drawn).abs().max()) <= 1 / 3


def test_what_no_module_draws_keeps_its_values_in_another_order() -> None:
    network = zoo("convnext")
    before, after = (net.get_parameter("block1.scale") for net in (network, drawn_anew(network, 0)))
    assert not torch.equal(before, after)
    assert torch.equal(before.sort().values, after.sort().values)


def test_a_settled_variant_of_a_runner_can_be_recovered() -> None:
    bench = digits_bench()
    settled = PlainRunner(bench, None).settled(pruned())
    network = won_back(settled, bench, epochs=0.5)
    assert network.get_parameter("conv1.weight").shape == (10, 1, 3, 3)
