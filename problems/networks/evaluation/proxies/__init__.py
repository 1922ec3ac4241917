"""Cheap stand-ins for retraining: what a pruned network would score after it."""
