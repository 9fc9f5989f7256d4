"""Files that others may have made: only regular ones are opened, and read within bounds.

Readers turn `OSError` and `ValueError` into an error of their own, which names the file. No torch.
"""
