"""Nodes that compute on encoded weights, a file for each family of kernels."""
