"""What transformers are calibrated and measured on: fixed batches of tensors, in parts that share nothing."""
