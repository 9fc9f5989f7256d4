"""Clinical efficacy, graphs, and probabilities against labels."""
