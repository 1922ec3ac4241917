"""Rules with exceptions and confidences: which of them are worth their literals."""
