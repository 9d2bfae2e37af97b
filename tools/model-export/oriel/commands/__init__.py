"""The commands of `oriel`, a file for each; cli.py lists them."""
