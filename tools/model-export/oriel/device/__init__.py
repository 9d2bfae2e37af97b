"""Reference passes of a bundle: computes them when a bundle is written, and replays them on a
device."""
