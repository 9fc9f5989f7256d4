"""Weights of kia-small-iu-xray, for kia. Research only; not for clinical use."""
