"""Studies on disk: readers of X-ray collections, images, and the prepared data set."""
