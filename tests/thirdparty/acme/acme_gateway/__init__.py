"""Acme's models for the AI Stats Gateway."""
