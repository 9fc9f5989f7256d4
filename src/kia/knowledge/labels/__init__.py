"""The built-in labeler: from the sentences of a report to the 14 CheXpert observations."""
