"""How hard each training row is."""
