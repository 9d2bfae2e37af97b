"""The bundled demo model: corpus, tokenizer, training and measuring; weights/ holds what ships."""
