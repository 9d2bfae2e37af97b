"""Proof that two artifacts are one model: a checkpoint, a bundle's variant, a file of any format.
Artifacts can be run; inputs are made once for both; the record says how far apart they are."""
