"""Where landmarks lie on a frontal chest X-ray, and where a report mentions them."""
