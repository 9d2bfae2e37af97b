"""A checkpoint's own tokenizer: opened by transformers, compared, written as one tokenizer.json.
Nothing here needs torch."""
