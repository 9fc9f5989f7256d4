"""Every table that people have, read one way: CSV, spreadsheets, JSON Lines, Parquet (no torch).

table.py is the door. What a cell means is in cells.py, what a column is called in columns.py.
"""
