"""Diagnosis of a checkpoint before anything is exported."""
