"""Signs that are flipped before training: so many, no magnitude with them, and what that costs at the end."""

from __future__ import annotations

import pytest
import torch
from methods_for_tests import copied
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.audits.sign_flip import SignFlip, changed_signs, flipped
from emoprune.problems.networks.unpruned.built_in.sample import tiny
from emoprune.testing import conformance


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return tiny().eval()


TestSignFlip = conformance(
    "audit",
    "sign-flip",
    "channels",
    options={"epochs": 0.5, "repeats": 1, "shares": (0.5,)},
    sample=classmethod(copied),
)


def test_so_many_signs_are_flipped_and_counted_as_changed() -> None:
    begun = network()
    made = flipped(begun, 0.3, 1)
    assert changed_signs(begun, made) == pytest.approx(0.3, abs=0.01)
    assert changed_signs(begun, flipped(begun, 0.0, 1)) == 0
    assert changed_signs(begun, flipped(begun, 1.0, 1)) == 1
    for one, other in zip(begun.parameters(), made.parameters(), strict=True):
        assert torch.equal(one.detach().abs(), other.detach().abs())
        assert one.ndim > 1 or torch.equal(one, other)


def test_shares_of_signs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="shares: expected shares of the signs above 0, up to 1"):
        SignFlip(shares=(0.0,))
    with pytest.raises(ConfigError, match="repeats: expected at least 1, found 0"):
        SignFlip(repeats=0)
