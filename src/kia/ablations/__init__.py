"""The paper's ablations: their settings, and what is told of their scores (no torch)."""
