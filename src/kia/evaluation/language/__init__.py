"""Scores of language: protocols, n-grams, METEOR."""
