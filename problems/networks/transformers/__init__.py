"""Pruning transformers: heads, feed-forward neurons, layers, weights and bits of BERT-, ViT- and Llama-like models."""
