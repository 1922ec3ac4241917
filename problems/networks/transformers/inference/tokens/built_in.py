"""A small vision transformer for handwritten digits: trained once, and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.data.mnist_5k import mnist_5k
from emoprune.problems.networks.unpruned.augmentation import augmented
from emoprune.problems.storage.cache import cache_folder, writing_alone

__all__ = ["BUILT_IN", "built_in_vit"]

BUILT_IN = "mnist-vit"
WAIT = 1800.0  # seconds; longer than it takes to train
EPOCHS, BATCH, RATE, SHIFT, SEED = 24, 64, 2e-3, 1, 1
CONFIG = {
    "image_size": 28,
    "patch_size": 4,
    "num_channels": 1,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "num_labels": 10,
}

_log = logging.getLogger("emoprune")


def built_in_vit() -> Path:
    """Return the folder of a vision transformer of 49 patches and 4 layers for `mnist-5k`; trained when first wanted.

    It takes about a minute of one core, once per user and version of torch.
    """
    data = mnist_5k()
    told = repr((CONFIG, EPOCHS, BATCH, RATE, SHIFT, SEED, torch.__version__, data.digest().hex()))
    folder = cache_folder() / "models" / f"{BUILT_IN}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    with writing_alone(folder, WAIT):
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
            with quiet():
                _trained(data.train).save_pretrained(partial)
            partial.rename(folder)
    return folder


def _trained(part: LabelledImages) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    _log.info("training %s on %d digits, once", BUILT_IN, len(part))
    with seeded(SEED), one_thread():
        model = ViTForImageClassification(ViTConfig(**CONFIG)).train()
        images, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.copy())
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
        steps = len(labels) // BATCH
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * steps)
        order = torch.Generator().manual_seed(SEED)
        for epoch in range(EPOCHS):
            total = 0.0
            for rows in torch.randperm(len(labels), generator=order).tensor_split(steps):
                batch = augmented(images[rows], flips=False, shift=SHIFT, order=order)
                loss = nn.functional.cross_entropy(model(pixel_values=batch).logits, labels[rows])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
                rate.step()
                total += loss.item() * len(rows)
            _log.info("epoch %d of %d: loss %.4f", epoch + 1, EPOCHS, total / len(labels))
    return model.eval()
