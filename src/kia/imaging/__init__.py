"""From a file to grey values, and what the picture is: formats, DICOM, views, plausibility."""
