"""The HTTP side that is not the pipeline: Quart, the platform routes."""
