"""What is no service of an environment, and can be named all the same as the other end of connections."""

from __future__ import annotations


def is_outside(to: str) -> bool:
    """Whether text is an address, a network, or a host's name (with a dot), so that it can be lost without being named
    in the environment."""
    import ipaddress

    try:
        ipaddress.ip_network(to, strict=False)
    except ValueError:
        labels = to.rstrip(".").split(".")
        return len(labels) > 1 and all(label.replace("-", "").replace("_", "").isalnum() for label in labels)
    return True
