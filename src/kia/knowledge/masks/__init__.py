"""What knowledge hides from the model: patches of an image, words of a report."""
