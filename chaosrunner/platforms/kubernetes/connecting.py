"""The way to a cluster: the `kubernetes` package's configuration, authentication and transport."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config.config_exception import ConfigException
from yaml import YAMLError

from chaosrunner import __version__
from chaosrunner.errors import UsageError

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_load_incluster_config: Callable[..., None] = kubernetes_config.load_incluster_config
_load_kube_config: Callable[..., Awaitable[None]] = kubernetes_config.load_kube_config


async def configured(kubeconfig: str | None, context: str | None) -> Any:
    """The package's configuration: of a kubeconfig, or in a pod of its service account. Raises `UsageError` where there
    is none, or it cannot be read."""
    configuration = kubernetes_client.Configuration()
    configuration.connection_pool_maxsize = 0  # watches and streams hold theirs; requests take turns
    try:
        if kubeconfig is None and context is None and _in_a_pod():
            _load_incluster_config(client_configuration=configuration)
        else:
            await _load_kube_config(
                config_file=kubeconfig,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError) as error:
        # the package does not look whether a kubeconfig is one before it takes it apart
        where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        named = f", context {context}" if context else ""
        said = error if isinstance(error, ConfigException | OSError) else "it is no kubeconfig, or lacks a part"
        raise UsageError(f"kubeconfig {where}{named}: {said}") from None
    return configuration


def _in_a_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ and _SERVICE_ACCOUNT.exists()


class Rest(RESTClientObject):
    """The package's transport (TLS, client certificates, proxies), asked for plain responses."""

    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)
        self.session: aiohttp.ClientSession = self._create_pool_manager()

    def url(self, where: str, query: Any) -> str:
        """The whole URL of a path."""
        text = urlencode(query)
        return f"{self.configuration.host.rstrip('/')}{where}{f'?{text}' if text else ''}"

    async def headers(self, accept: str | None) -> dict[str, str]:
        """Who asks, and what for."""
        # compressing long lists costs the API server more time than the network gains by it
        made = {"User-Agent": f"chaosrunner/{__version__}", "Accept-Encoding": "identity"}
        made |= {"Accept": accept} if accept else {}
        for setting in (await self.configuration.auth_settings()).values():
            if setting["in"] == "header" and setting["value"]:
                made[setting["key"]] = setting["value"]
        return made
