"""Divide and conquer: a network cut into a chain of parts, each searched by itself, and a choice among the fronts."""
