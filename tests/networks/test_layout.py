"""Where channels lie in memory: last where a network takes that, contiguous where it flattens with `view`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from user_code_for_tests import LeNet

from emoprune.contracts import Failure
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.evaluation.layout import laid_out, layout_of
from emoprune.records import Split


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_flattens_with_view_gets_contiguous_images(channels: int) -> None:
    network, images = LeNet(channels).eval(), torch.rand(4, channels, 8, 8)
    assert layout_of(network, images) == torch.contiguous_format
    network(laid_out(images.contiguous(memory_format=torch.channels_last), torch.contiguous_format))


def test_other_networks_get_images_with_channels_last() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)).eval()
    assert layout_of(network, torch.rand(4, 3, 8, 8)) == torch.channels_last


def test_what_has_other_dimensions_than_images_stays_contiguous() -> None:
    assert layout_of(nn.Conv3d(1, 2, 3), torch.rand(2, 1, 4, 4, 4)) == torch.contiguous_format
    assert layout_of(nn.Conv1d(2, 2, 3), torch.rand(2, 2, 64)) == torch.contiguous_format


@pytest.mark.parametrize("criterion", ["l1", "taylor"])
def test_every_width_of_the_tutorials_network_is_measured(criterion: str, tmp_path: Path) -> None:
    problem = Channels(network="user_code_for_tests:lenet", data="digits", criterion=criterion, epochs=1)
    problem.prepare(tmp_path, 1)
    genomes = np.stack([problem.space.full, np.maximum(problem.space.full // 2, 1)])
    problem.setup("cpu", 1)
    rows = problem.evaluate(genomes, np.array([1, 2], dtype=np.uint64), Split.SEARCH)
    assert not [row.reason for row in rows if isinstance(row, Failure)]
