"""Images in, a `Report` out: the one way that the command line, the server and Python go.

`model.py` is where it starts; `report.py` is what comes out, and `forms.py` turns it into text and
JSON. More forms are more functions of the same object.
"""
