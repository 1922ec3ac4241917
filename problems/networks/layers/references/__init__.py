"""What a user would keep of each layer without a search: one file per method."""
