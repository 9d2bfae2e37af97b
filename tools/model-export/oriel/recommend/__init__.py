"""`oriel recommend`: a format and precision for a target, from a table of decisions or from what a
pipeline measured."""
