"""The command `kia knowledge`: command.py is where it starts."""
