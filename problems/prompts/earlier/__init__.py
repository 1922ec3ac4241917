"""How runs of earlier versions go on: what their options meant, and when they gave prompts up."""
