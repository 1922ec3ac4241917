"""A whole search as data."""

from __future__ import annotations

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
    example_text,
    import_targets,
    json_schema,
    load,
    resolved,
    stage_settings,
)

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
    "example_text",
    "import_targets",
    "json_schema",
    "load",
    "resolved",
    "stage_settings",
]
