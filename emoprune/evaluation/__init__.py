"""From candidates to evaluations: tickets, seeds, a cache, and the backend in this process."""
