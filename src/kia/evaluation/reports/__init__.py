"""Files of reports of any system: files.py opens them, columns.py says which text is whose."""
