"""The scoreboard: systems and baselines in one table, in every form."""
