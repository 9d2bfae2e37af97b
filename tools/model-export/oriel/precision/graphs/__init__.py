"""A bundle's graphs rewritten for a variant, and the count of the nodes that were put in."""
