"""The bundled model: weights/ holds its checkpoint, passages/ text like its training text, both
made by examples/story_gpt2, lenses/ its lens packs, fitted by `oriel fit-lens`, and dictionaries/
its dictionaries, trained by `oriel train-dictionary`."""
