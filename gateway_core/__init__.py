"""The gateway: it never imports a plugin and knows no provider's name."""

__version__ = "0.1.0"
