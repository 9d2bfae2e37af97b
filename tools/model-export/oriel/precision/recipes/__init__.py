"""Rules, as data, for how each weight is encoded, and the uses of weights that they go by."""
