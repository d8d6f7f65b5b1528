"""The Kubernetes platform."""

from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform

__all__ = ["KubernetesPlatform"]
