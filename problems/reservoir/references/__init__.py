"""What a user would have pruned of a reservoir without a search."""
