"""The figures of the paper: what the model and its knowledge look at."""
