"""Checks that the files on disk keep the contract and agree with PyTorch."""
