"""What a radiologist knows, and the masks it guides (no torch)."""
