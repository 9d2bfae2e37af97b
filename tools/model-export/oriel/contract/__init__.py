"""The contract as Python reads it: names and shapes, documents, the manifest."""
