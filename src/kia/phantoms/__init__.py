"""Phantoms: drawn chest X-rays whose findings, masks and reports are known exactly."""
