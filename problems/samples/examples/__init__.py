"""Configs to start from; `emoprune init <name>` writes one out."""
