"""Whether maps lie where findings are."""
