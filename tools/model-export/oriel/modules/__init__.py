"""Any PyTorch module with any inputs: flat files of it in several formats, proven against it."""
