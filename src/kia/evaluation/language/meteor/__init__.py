"""METEOR 1.5 for English, as pycocoevalcap calls its jar (``-l en -norm``), without Java."""
