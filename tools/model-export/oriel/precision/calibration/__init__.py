"""Statistics of a model's activations on real text, and the choice of that text."""
