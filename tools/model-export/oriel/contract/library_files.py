"""Names of the files by which other libraries know a bundle's model."""

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
