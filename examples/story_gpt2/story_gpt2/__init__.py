"""The bundled model's corpus, tokenizer, training and measuring."""
