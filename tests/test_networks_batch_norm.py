"""Batch-norm statistics estimated anew are the averages over the calibration batches, and nothing else changes."""

from __future__ import annotations

import numpy as np
import torch
from networks_for_tests import INPUT, network, stripes
from torch import nn

from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.proxies.adaptive_batch_norm import reestimate_statistics
from emoprune.problems.networks.scoring import calibration_batches

IMAGES = torch.tensor(np.random.default_rng(4).normal(size=(12, *INPUT)))
BATCHES = (IMAGES[:4], IMAGES[4:])


def statistics(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and unbiased variance per channel, in numpy's words."""
    array = batch.transpose(0, 1).flatten(1).numpy()
    return torch.tensor(array.mean(axis=1)), torch.tensor(array.var(axis=1, ddof=1))


def test_statistics_are_the_plain_averages_of_each_batch() -> None:
    made = network().double().eval()
    convolution = made.get_submodule("0.0")
    reestimate_statistics(made, BATCHES)
    means, variances = zip(*(statistics(convolution(batch).detach()) for batch in BATCHES), strict=True)
    torch.testing.assert_close(made.get_buffer("0.1.running_mean"), torch.stack(means).mean(dim=0))
    torch.testing.assert_close(made.get_buffer("0.1.running_var"), torch.stack(variances).mean(dim=0))


def test_later_statistics_come_from_batches_normalised_by_themselves() -> None:
    made = network().double().eval()
    reestimate_statistics(made, BATCHES)
    convolution, relu, second, gelu = (made.get_submodule(f"0.{place}") for place in (0, 2, 3, 4))
    weight, bias = (made.get_parameter(f"0.1.{name}").reshape(-1, 1, 1) for name in ("weight", "bias"))
    expected = []
    for batch in BATCHES:
        mean, variance = (part.reshape(-1, 1, 1) for part in statistics(convolution(batch).detach()))
        places = len(batch) * 36
        biased = variance * (places - 1) / places  # what training mode divides by
        normalised = (convolution(batch) - mean) / (biased + nn.BatchNorm2d(6).eps).sqrt()
        shifted = normalised * weight + bias
        expected.append(statistics(gelu(second(relu(shifted))).detach())[0])
    torch.testing.assert_close(made.get_buffer("0.5.running_mean"), torch.stack(expected).mean(dim=0))


def test_nothing_of_the_old_statistics_remains() -> None:
    first, second = network().double().eval(), network().double().eval()
    for name, statistic in second.named_buffers():
        if name.endswith("running_mean"):
            nn.init.constant_(statistic, 1e6)
    reestimate_statistics(first, BATCHES)
    reestimate_statistics(second, BATCHES)
    torch.testing.assert_close(second(IMAGES), first(IMAGES), rtol=0, atol=0)


def test_weights_stay_and_the_network_is_left_in_eval_mode() -> None:
    made = network().double().eval()
    before = [parameter.clone() for parameter in made.parameters()]
    reestimate_statistics(made, BATCHES)
    assert all(torch.equal(*pair) for pair in zip(before, made.parameters(), strict=True))
    assert not any(module.training for module in made.modules())


def test_dropout_is_off_during_the_estimate() -> None:
    def estimated() -> torch.Tensor:
        norm = nn.BatchNorm1d(72).double()
        reestimate_statistics(nn.Sequential(nn.Flatten(), nn.Dropout(0.9), norm).eval(), (IMAGES,))
        return norm.running_mean if norm.running_mean is not None else torch.empty(0)

    torch.testing.assert_close(estimated(), IMAGES.flatten(1).mean(dim=0))


def test_a_network_without_batch_norm_is_left_alone() -> None:
    made = nn.Sequential(nn.Flatten(), nn.Linear(72, 3)).double().eval()
    before = made(IMAGES)
    reestimate_statistics(made, BATCHES)
    assert torch.equal(made(IMAGES), before)


def test_calibration_images_spread_evenly_over_the_training_part() -> None:
    part = stripes().train
    (batch,) = calibration_batches(part, 16, "cpu")
    assert torch.equal(batch, torch.tensor(part.images[::4]))


def test_many_calibration_images_come_in_batches_of_nearly_equal_size_without_repeats() -> None:
    part = digits().train
    batches = calibration_batches(part, 300, "cpu")
    assert [len(batch) for batch in batches] == [100, 100, 100]
    assert len(torch.unique(torch.cat(batches), dim=0)) == 300


def test_data_sorted_by_class_gives_every_batch_all_classes() -> None:
    part = digits().train
    by_class = np.argsort(part.labels, kind="stable")
    numbered = np.broadcast_to(part.labels[by_class, None, None, None].astype(np.float32), part.images.shape)
    batches = calibration_batches(LabelledImages(numbered, part.labels[by_class]), 256, "cpu")
    assert [set(batch[:, 0, 0, 0].tolist()) for batch in batches] == [set(range(10))] * 2
