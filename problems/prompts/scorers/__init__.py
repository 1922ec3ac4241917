"""What reads a filled prompt and says how it goes on: a model in this process, or one behind an endpoint."""
