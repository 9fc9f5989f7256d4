"""Intervals, paired differences, seeds."""
