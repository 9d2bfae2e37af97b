"""The bundled model: weights/ is its checkpoint, passages/ text of the kind that it was trained on;
both are made by examples/story_gpt2. lenses/ are its lens packs, fitted by `oriel fit-lens`."""
