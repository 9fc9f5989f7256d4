"""Hidden patches rebuilt under different reports (Paper: App. C, Fig. 9a)."""
