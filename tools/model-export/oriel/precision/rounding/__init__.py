"""Ways of rounding a group of weights that shares a scale to small whole numbers: one file for each
way."""
