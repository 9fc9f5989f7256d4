"""Where the model looks, and what counts there (Paper: Sec. 4.5, Fig. 7)."""
