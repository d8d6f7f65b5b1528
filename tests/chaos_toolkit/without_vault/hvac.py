"""Stands before the real one where Vault's client is not to be found."""

raise ImportError("hvac is not installed here")
