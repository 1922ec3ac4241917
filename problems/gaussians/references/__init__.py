"""What a user would have pruned of Gaussians without a search."""
