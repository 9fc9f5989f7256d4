"""Studies as tensors: batches, masked reports, what a rank reads."""
