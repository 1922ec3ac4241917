"""The search: begin, turn the loop, stage by stage, resume."""
