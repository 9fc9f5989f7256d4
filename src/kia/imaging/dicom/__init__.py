"""DICOM radiographs: what their headers say, and their pixels as a viewer shows them."""
