"""Lessons of the page, checked natively: their form, the states that they put the page into, and
what they claim of the model."""
