"""Files that are right. Tests change one thing in them: what stands between « and » is put in its place, and the
mistake is expected where the ‸ is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaosrunner.errors import Problem
from chaosrunner.stages.load import check

ENVIRONMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: laptop, labels: {team: shop}}
spec:
  class: staging
  platform:
    local:
      services:
        checkout: {start: [python3, checkout.py], ready: {http: "http://127.0.0.1:7001/healthz"}}
        payments: {start: [python3, payments.py], ready: {http: "http://127.0.0.1:7003/healthz"}}
        postgres: {listens: 5432}
      links:
        checkout-to-payments: {from: checkout, to: payments, listen: "127.0.0.1:8003", connect: "127.0.0.1:7003"}
  prometheus: {url: "http://127.0.0.1:9090", bearerToken: {env: PROM_TOKEN}, timeout: 5s}
  guards:
    production: false
    maxAffected: {share: 50%, atLeastOne: true}
    windows: ["Mon-Fri 09:00-16:00 Europe/Berlin"]
    always: [windows]
  verification: {runs: 1, days: 1}
"""

HYPOTHESIS = """\
apiVersion: chaosrunner.dev/v1
kind: Hypothesis
metadata: {name: checkout-slo}
spec:
  title: Shoppers can check out
  measures:
    - name: p99
      http: {url: "http://127.0.0.1:7001/healthz", read: latency, timeout: 2s}
      every: 500ms
      retries: 1
      lag: 1s
      tolerance:
        baseline: {atMost: 200ms}
        fault: {atMost: 4x baseline, floor: 100ms, for: 2s}
        recovery: {atMost: 1.5x baseline}
      abortAt: {atMost: 5s, for: 2s}
    - name: page
      http: {url: "http://127.0.0.1:7001/", read: body}
      tolerance: {matches: "welcome|hello"}
      during: edge
      whenMissing: broken
    - name: depth
      noop: {value: 3}
      unit: ratio
      tolerance: {between: [1%, 500%]}
"""

EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata:
  name: checkout-when-payments-is-slow
  labels: {team: checkout}
spec:
  title: Checkout keeps its promise while payments is slow
  service: checkout
  owner: team-checkout
  environment: laptop
  hypotheses:
    - checkout-slo
    - name: in-place
      title: Something holds
      measures:
        - {name: one, noop: , tolerance: {atLeast: 1}}
  traffic: {url: "http://127.0.0.1:7001/cart", rate: 50/s, method: POST, body: '{"item": 7}', expect: [200, 201]}
  baseline: {for: 5s, within: 30s}
  method:
    - id: slow
      fault: network-latency
      target: {service: checkout, to: payments, take: 50%}
      with: {delay: 300ms, jitter: 50ms}
      for: 60s
      settle: 10s
      expectAlert: {name: PaymentsSlow, within: 2m}
    - wait: 10s
    - together:
        - {fault: process-kill, target: {service: checkout}, observe: 30s}
        - {fault: process-pause, target: {service: payments, take: all}, for: 30s, after: 10s}
        - {fault: connection-reset, target: {sameAs: slow}, with: {after: 1s}, for: 20s}
    - {fault: noop, for: 10s}
  recovery: {within: 60s, holds: 5s}
  risk: {occurrence: 4}
  remediation: {assignee: "@ana", labels: [resilience]}
  aliases: [old-name]
"""

WHOLE = f"{ENVIRONMENT}---\n{HYPOTHESIS}---\n{EXPERIMENT}"


@dataclass(frozen=True)
class Mistake:
    """One change, and what must be said of it."""

    old: str
    new: str
    """With ‸ at the place that the problem names."""
    said: str
    """What the message begins with, after the place; the lists of what is known go on beyond it."""
    more: int = 0
    """Further problems that honestly follow."""
    only_check: bool = False
    """A JSON Schema cannot tell."""
    rule: str = ""
    """The name of the rule that it breaks."""


def changed(mistake: Mistake) -> tuple[str, int, int]:
    """The text with the mistake in it, and its line and column."""
    assert WHOLE.count(mistake.old) == 1, f"{mistake.old!r} is not there exactly once"
    marked = WHOLE.replace(mistake.old, mistake.new)
    before, mark, _ = marked.partition("‸")
    assert mark, "no place is marked"
    return marked.replace("‸", ""), before.count("\n") + 1, len(before) - before.rfind("\n")


def problems_of(folder: Path, text: str) -> list[Problem]:
    """What `check` says of a file with this text."""
    (folder / "f.yaml").write_text(text)
    return list(check(["f.yaml"], folder).problems)
