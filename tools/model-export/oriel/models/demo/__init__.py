"""The bundled model: weights/ is its checkpoint, passages/ text of the kind that it was trained on.
Both are made by examples/story_gpt2."""
