"""Data platform for look-ahead security-constrained optimal power flow."""

__version__ = "0.1.0"
