"""Pretrained models with their tokenizers, and texts: loaded by name from a package, a folder, a GGUF file or a hub."""
