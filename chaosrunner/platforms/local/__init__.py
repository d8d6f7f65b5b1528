"""The `local` platform: processes and TCP connections of this machine, no cluster, no root."""

from chaosrunner.platforms.local.platform import LocalPlatform

__all__ = ["LocalPlatform"]
