"""How far a variant is from the float32 model: measured, bounded, shown."""
