"""From a bundle to a published model: chunks named by their digests, manifests that name them."""
