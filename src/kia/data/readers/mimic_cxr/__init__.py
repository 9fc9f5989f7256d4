"""MIMIC-CXR-JPG, as PhysioNet lays it out."""
