"""All figures for some studies on one page."""
