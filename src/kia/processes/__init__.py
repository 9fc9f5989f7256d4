"""Processes of kia's own: started on a safe path, spoken to in plain bytes, always waited for."""
