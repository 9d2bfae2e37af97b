"""Parts of tracing that bundles and modules share."""
