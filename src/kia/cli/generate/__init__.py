"""The command `kia generate`: command.py is where it starts."""
