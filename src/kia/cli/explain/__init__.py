"""The command `kia explain`: command.py is where it starts."""
