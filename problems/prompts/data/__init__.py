"""The examples that prompts are tried on: read, told apart, and kept apart in three parts that share nothing."""
