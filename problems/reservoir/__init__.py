"""Recurrent networks that are not trained themselves: which of their neurons and edges a forecast needs."""
