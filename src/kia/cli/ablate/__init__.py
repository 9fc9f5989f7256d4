"""The command `kia ablate`: command.py is where it starts."""
