"""Text in, numbers out: scores of generated reports, of any system (no torch, no models)."""
