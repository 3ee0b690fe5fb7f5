"""All reads over several rows, one module per noun; no writes, no object storage."""
