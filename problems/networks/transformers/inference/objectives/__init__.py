"""Objectives of models that leave something out at inference: how good they are, and what they used."""
