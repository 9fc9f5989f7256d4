"""The built-in extractor of RadGraph graphs: from the sentences of a report to entities."""
