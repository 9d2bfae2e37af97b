"""Exporters of MMDetection3D's detectors."""
