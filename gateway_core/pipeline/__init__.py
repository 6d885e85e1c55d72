"""The pipeline: one request from admission to settlement."""
