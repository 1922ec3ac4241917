"""What says how important a cached key is."""
