"""The code that an exported folder carries where no config of transformers' own can say how wide its layers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

__all__ = ["MODULE", "Code", "code_of"]

MODULE = "modeling_pruned"

_CAUSAL_OR_HEADED = Template('''\
"""$architecture, narrowed layer by layer; from_pretrained(folder, trust_remote_code=True) finds it through config.json.

Needs torch and transformers, nothing else.
"""

from transformers import $config, $architecture

from .narrowing import narrow, unpruned


class Pruned$config($config):
    """What $config says, and how each layer is narrowed."""

    model_type = "$model_type"


class Pruned$architecture($architecture):
    """A narrower $architecture."""

    config_class = Pruned$config

    def __init__(self, config):
        super().__init__(unpruned(config))
        narrow(self, config.pruning)
''')

_POOLED = Template('''\
"""$architecture, narrowed layer by layer, with a classifier on the mean of its hidden states.

from_pretrained(folder, trust_remote_code=True) finds it through config.json. Needs torch and transformers alone.
"""

import torch
from transformers import $config, $architecture, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .narrowing import narrow, unpruned
from .pooling import pooled


class Pruned$config($config):
    """What $config says, and how each layer is narrowed."""

    model_type = "$model_type"


class Pruned${architecture}Classifier(PreTrainedModel):
    """A narrower $architecture and a classifier."""

    config_class = Pruned$config
    base_model_prefix = "encoder"
    _supports_sdpa = $architecture._supports_sdpa

    def __init__(self, config):
        super().__init__(unpruned(config))
        self.encoder = $architecture(self.config)
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)
        narrow(self, config.pruning)
        self.post_init()

    def _init_weights(self, module):
        self.encoder._init_weights(module)

    def forward(self, $first=None, attention_mask=None, labels=None, return_dict=None, **more):
        inputs = {"$first": $first, "attention_mask": attention_mask, **more}
        inputs = {name: own for name, own in inputs.items() if own is not None}
        logits = self.classifier(pooled(self.encoder(**inputs)[0], inputs.get("attention_mask")))
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
''')


@dataclass(frozen=True, slots=True)
class Code:
    """The text of a module, its class, and what a config says so that transformers finds it, `auto_map` among it."""

    text: str
    class_name: str
    named: Mapping[str, Any]


def code_of(model: Any, about: Mapping[str, Any], first: str) -> Code:
    """Return the code that loads a model of transformers with narrower layers.

    Args:
        model: The unpruned model, or the encoder of one with a classifier on it.
        about: The task's: `factory` is the class by which transformers loads the unpruned one.
        first: The name of the model's first input.
    """
    architecture, config = type(model).__name__, type(model.config).__name__
    model_type = f"pruned_{model.config.model_type}"
    pooled = about["factory"] == "AutoModel"
    template = _POOLED if pooled else _CAUSAL_OR_HEADED
    text = template.substitute(architecture=architecture, config=config, model_type=model_type, first=first)
    kind = "Image" if about["task"] == "image-classification" else "Sequence"
    factory = f"AutoModelFor{kind}Classification" if pooled else about["factory"]
    class_name = f"Pruned{architecture}Classifier" if pooled else f"Pruned{architecture}"
    named = {
        "model_type": model_type,
        "architectures": [class_name],
        "auto_map": {"AutoConfig": f"{MODULE}.Pruned{config}", factory: f"{MODULE}.{class_name}"},
    }
    return Code(text, class_name, named)
