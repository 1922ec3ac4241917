"""A whole search as data.

`settings` is what can be set, with its defaults; `source` is where a config comes from, and what is set over it;
`yaml_reader` reads it with a line for every value, and `plugin_options` checks the plug-ins that it names.
"""

from __future__ import annotations

from emoprune.config.plugin_options import import_targets
from emoprune.config.settings import (
    ALLOWED_ON_RESUME,
    Config,
    EvaluationSettings,
    Origin,
    Plugin,
    SearchSettings,
    as_yaml,
    changed,
    check_resume,
    json_schema,
    load,
    recorded,
    resolved,
    stage_settings,
)
from emoprune.config.source import edited, example_text, meaning

__all__ = [
    "ALLOWED_ON_RESUME",
    "Config",
    "EvaluationSettings",
    "Origin",
    "Plugin",
    "SearchSettings",
    "as_yaml",
    "changed",
    "check_resume",
    "edited",
    "example_text",
    "import_targets",
    "json_schema",
    "load",
    "meaning",
    "recorded",
    "resolved",
    "stage_settings",
]
