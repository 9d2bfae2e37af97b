"""The detector's parts."""
