"""What says which tokens stay."""
