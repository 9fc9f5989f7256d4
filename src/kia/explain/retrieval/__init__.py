"""Studies that fit an image or a text (Paper: App. C, Fig. 10)."""
