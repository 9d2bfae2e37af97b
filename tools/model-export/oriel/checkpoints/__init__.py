"""Files of weights, whatever model they belong to: the tensors in them, and safe ways to read
them."""
