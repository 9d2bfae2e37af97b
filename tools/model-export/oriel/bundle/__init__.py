"""Files on disk: weights, graphs, tokenizer and manifest, written all or not at all."""
