"""The command `kia evaluate`: command.py is where it starts."""
