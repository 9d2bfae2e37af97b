"""`oriel train-dictionary`: trains sparse autoencoders and transcoders with PyTorch."""
