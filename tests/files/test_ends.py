"""The other end of connections: a service of the environment, or, in a cluster, anything that has an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.stages.load import check

TWO = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: staging}
spec:
  platform: {kubernetes: {namespaces: [shop], services: {cart: {workload: deployment/cart}}}}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: end-is-lost}
spec:
  title: The cart does without it
  environment: staging
  hypotheses:
  - {name: one, title: One, measures: [{name: one, noop: , tolerance: {atLeast: 1}}]}
  method:
  - {fault: dependency-loss, target: {service: cart, to: "TO", port: 443}, with: {mode: refuse}, for: 10s}
"""


def problems(folder: Path, text: str) -> list[str]:
    (folder / "two.yaml").write_text(text)
    return [problem.message for problem in check(["two.yaml"], folder).problems]


@pytest.mark.parametrize("to", ["api.stripe.com", "10.20.0.0/16", "192.0.2.7", "2001:db8::/64", "2001:db8::1"])
def test_in_a_cluster_a_host_an_address_or_a_network_need_not_be_named(to: str, tmp_path: Path) -> None:
    assert problems(tmp_path, TWO.replace("TO", to)) == []


@pytest.mark.parametrize("to", ["crat", "10.20.0.0/99", "payments"])
def test_what_is_neither_is_a_service_that_there_is_not(to: str, tmp_path: Path) -> None:
    (said,) = problems(tmp_path, TWO.replace("TO", to))
    assert said.startswith(f"the environment has no service '{to}'")


def test_on_a_platform_of_links_an_address_is_no_end(tmp_path: Path) -> None:
    local = "local: {services: {cart: {listens: 80}}, links: {}}"
    text = TWO.replace("kubernetes: {namespaces: [shop], services: {cart: {workload: deployment/cart}}}", local)
    assert problems(tmp_path, text.replace("TO", "10.20.0.0/16"))[0].startswith("the environment has no service")
