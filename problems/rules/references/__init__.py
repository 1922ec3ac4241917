"""What a user would have pruned of rules without a search."""
