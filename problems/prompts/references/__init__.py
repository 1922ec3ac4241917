"""What a user would have picked without a search, as genomes."""
