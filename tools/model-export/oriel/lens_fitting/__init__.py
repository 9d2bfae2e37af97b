"""`oriel fit-lens`: fits the maps of a lens pack with PyTorch."""
