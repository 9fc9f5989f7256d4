"""The command `kia data`: command.py is where it starts."""
