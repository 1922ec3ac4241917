"""Training rows: which of them are worth keeping, and how much a teacher is to be listened to."""
