"""Reports side by side (Paper: Fig. 6, 11)."""
