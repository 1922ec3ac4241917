"""The code that an exported folder carries where no config of transformers' own can say how wide its layers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

__all__ = ["MODULE", "Code", "code_of"]

MODULE = "modeling_pruned"

_HEADED = Template('''\
"""$architecture, narrowed layer by layer; from_pretrained(folder, trust_remote_code=True) finds it through config.json.

Needs torch and transformers, nothing else.
"""

from transformers import $imported

from .configs import below, say_pruned, unpruned
from .narrowing import narrow
from .opening import open_layers


class Pruned$config($config):
    """What $config says, and how each layer is narrowed."""

    model_type = "$model_type"


class Pruned$architecture($architecture):
    """A narrower $architecture."""

    config_class = Pruned$config

    def __init__(self, config):
        super().__init__(unpruned(config))
        open_layers(self, config.pruning.get("opened", {}))
        narrow(self, config.pruning)
        say_pruned(self, config)
''')

# The same without its head, as AutoModel returns it.
_BASE = Template('''

class Pruned$base($base):
    """What a narrower $architecture has below its head."""

    config_class = Pruned$config

    def __init__(self, config, **more):
        super().__init__(unpruned(config), **more)
        plan = below(config.pruning, "$prefix")
        open_layers(self, plan.get("opened", {}))
        narrow(self, plan)
        say_pruned(self, config)
''')

_POOLED = Template('''\
"""$architecture, narrowed layer by layer, with a classifier on the mean of its hidden states.

from_pretrained(folder, trust_remote_code=True) finds it through config.json. Needs torch and transformers alone.
"""

import torch
from transformers import $config, $architecture, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .configs import say_pruned, unpruned
from .narrowing import narrow
from .opening import open_layers
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
        open_layers(self, config.pruning.get("opened", {}))
        narrow(self, config.pruning)
        say_pruned(self, config)
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


def code_of(model: Any, about: Mapping[str, Any], first: str, blocks: str) -> Code:
    """Return the code that loads a model of transformers with narrower layers.

    Args:
        model: The unpruned model, or the encoder of one with a classifier on it.
        about: The task's: `factory` is the class by which transformers loads the unpruned one.
        first: The name of the model's first input.
        blocks: The path of its list of layers.
    """
    import transformers

    architecture, config = type(model).__name__, type(model.config).__name__
    names = {"architecture": architecture, "config": config, "first": first}
    names["model_type"] = f"pruned_{model.config.model_type}"
    found = {"AutoConfig": f"{MODULE}.Pruned{config}"}
    if about["factory"] == "AutoModel":
        kind = "Image" if about["task"] == "image-classification" else "Sequence"
        class_name = f"Pruned{architecture}Classifier"
        found[f"AutoModelFor{kind}Classification"] = f"{MODULE}.{class_name}"
        text = _POOLED.substitute(names)
    else:
        class_name = f"Pruned{architecture}"
        found[about["factory"]] = f"{MODULE}.{class_name}"
        base, prefix = type(model.base_model).__name__, f"{model.base_model_prefix}."
        below = model.base_model is not model and blocks.startswith(prefix) and hasattr(transformers, base)
        names["imported"] = ", ".join([config, architecture, *([base] if below else [])])
        text = _HEADED.substitute(names)
        if below:
            found["AutoModel"] = f"{MODULE}.Pruned{base}"
            text += _BASE.substitute(names, base=base, prefix=prefix)
    named = {"model_type": names["model_type"], "architectures": [class_name], "auto_map": found}
    return Code(text, class_name, named)
