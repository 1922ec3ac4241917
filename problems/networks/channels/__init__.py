"""Channel pruning: how wide each coupling group stays."""
