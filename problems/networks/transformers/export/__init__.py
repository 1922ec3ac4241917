"""Narrowed transformers as folders that load again without emoprune, verified in a fresh process."""
