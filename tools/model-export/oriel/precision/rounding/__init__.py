"""How a group of weights that shares a scale becomes small whole numbers: one file for each way."""
