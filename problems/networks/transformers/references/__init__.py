"""What a user would have picked without a search of heads and neurons: one file per method."""
