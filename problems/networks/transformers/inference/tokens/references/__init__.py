"""What a user would have dropped without a search."""
