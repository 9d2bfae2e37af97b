"""Reference passes of a bundle: computed when it is written, and replayed on a device."""
