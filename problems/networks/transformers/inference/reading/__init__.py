"""A language model that has read something and goes on: recorded once, and gone on with under any policy."""
