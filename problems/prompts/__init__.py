"""Prompts that are pruned: which tokens stay, or which words are put before the input at all."""
