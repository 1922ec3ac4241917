"""What a user would have kept of training rows without a search."""
