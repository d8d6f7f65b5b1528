"""Experiments that are right and say little: each weakness is told where it stands, and what only looks so is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.errors import Problem
from chaosrunner.files.rules import RULES
from chaosrunner.stages.load import check
from tests.files.good import WHOLE, Mistake, changed

ONE = "{name: one, noop: , tolerance: {atLeast: 1}}"
STATUS = 'name: one, http: {url: "http://127.0.0.1:7001/", read: status}'
RATIO = """name: one, prometheus: {ratio: {bad: 'a{code="5"}', total: 'a{x="y"}', over: 1s}}, lag: 2s"""
QUERY = "name: one, lag: 3s, tolerance: {atMost: 1}, prometheus: "


def query(text: str) -> str:
    return f"{{{QUERY}{{query: ‸'{text}'}}}}"


WEAK = [
    ("cannot-fail", Mistake(ONE, f"{{{STATUS}, tolerance: ‸{{atMost: 599}}}}", "this tolerance can never fail: no")),
    ("cannot-fail", Mistake(ONE, f"{{{STATUS}, tolerance: ‸{{between: [100, 600]}}}}", "this tolerance can never")),
    ("cannot-fail", Mistake(ONE, f"{{{STATUS}, tolerance: ‸{{atLeast: 0}}}}", "this tolerance can never fail: no rea")),
    ("cannot-fail", Mistake(ONE, f"{{{RATIO}, tolerance: ‸{{atMost: 100%}}}}", "this tolerance can never fail: no r")),
    ("cannot-fail", Mistake('{matches: "welcome|hello"}', '‸{matches: ".*"}', "this tolerance can never fail: every")),
    ("cannot-fail", Mistake("recovery: {atMost: 1.5x baseline}", "recovery: ‸{atLeast: 0s}", "this tolerance of the ")),
    ("abort-inside-tolerance", Mistake(
        ONE, f"{{{RATIO}, tolerance: {{atMost: 5%}}, abortAt: ‸{{atMost: 1%}}}}", "`abortAt` is 1%, inside of what")),
    ("baseline-too-short", Mistake(
        "baseline: {for: 5s, within: 30s}", "baseline: {for: ‸1s, within: 30s}", "the baseline lasts 1s, and check")),
    ("query-without-target", Mistake(ONE, query("sum(rate(a_total[1s]))"), "no selector of this query has a label")),
    ("query-without-target", Mistake(ONE, query("sum by (app) (a_total{ })"), "no selector of this query has a label")),
    ("no-recovery", Mistake("{within: 60s, holds: 5s}", "{within: ‸0s}", "`within` is 0s: nothing can recover")),
    ("no-recovery", Mistake("{within: 60s, holds: 5s}", "{within: ‸5s, holds: 5s}", "`within` is 5s (5s of it must")),
]  # fmt: skip
FINE = [
    f"{{{STATUS}, tolerance: {{atMost: 499}}}}",
    f"{{{STATUS}, tolerance: {{atLeast: 200}}}}",
    f"{{{RATIO}, tolerance: {{atMost: 99%}}, abortAt: {{atMost: 100%}}}}",
    f"{{{RATIO}, tolerance: {{baseline: {{atMost: 1%}}, fault: {{atMost: 3x baseline}}}}, every: 1s}}",
    query('sum(rate(a_total{app="x"}[1s]))').replace("‸", ""),
    query("sum(job:a_total:rate5m)").replace("‸", ""),
    query("vector(1)").replace("‸", ""),
    query('count(a_total{app="x"} > 3) or vector(0)').replace("‸", ""),
]


def warnings_of(folder: Path, text: str) -> list[Problem]:
    (folder / "f.yaml").write_text(text)
    checked = check(["f.yaml"], folder)
    assert not checked.problems, checked.problems
    return list(checked.warnings)


@pytest.mark.parametrize(("rule", "weak"), WEAK, ids=[f"{rule} {weak.new}" for rule, weak in WEAK])
def test_a_weakness_is_told_where_it_stands(rule: str, weak: Mistake, tmp_path: Path) -> None:
    text, line, column = changed(weak)
    told = [one for one in warnings_of(tmp_path, text) if one.rule == rule]
    assert [(one.line, one.column) for one in told] == [(line, column)], told
    assert told[0].message.startswith(weak.said)
    assert RULES[rule].warns


@pytest.mark.parametrize("measure", FINE)
def test_what_can_fail_is_no_weakness(measure: str, tmp_path: Path) -> None:
    told = warnings_of(tmp_path, WHOLE.replace(ONE, measure))
    assert [one for one in told if one.rule not in ("fault-too-short", "read-too-rarely")] == []


LOCAL = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: laptop}
spec:
  platform:
    local:
      services:
        web: {listens: 7001}
        cart: {listens: 7002}
        mail: {listens: 7003}
      links:
        web-cart: {from: web, to: cart, listen: "127.0.0.1:8002", connect: "127.0.0.1:7002"}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: one}
spec:
  title: It holds
  environment: laptop
  hypotheses:
    - name: fine
      title: It is fine
      measures:
        - {name: one, MEASURE, tolerance: {equals: 200}, abortAt: {atMost: 500}}
  baseline: 30s
  method:
STEPS
  recovery: {within: 60s}
"""
KILL = "    - {fault: process-kill, target: {service: %s}}"


def local(port: int, *steps: str, probe: str = "") -> str:
    measure = probe or f'http: {{url: "http://127.0.0.1:{port}/", read: status}}'
    return LOCAL.replace("MEASURE", measure).replace("STEPS", "\n".join(steps))


@pytest.mark.parametrize(
    ("text", "weak"),
    [
        (local(7003, KILL % "cart"), True),
        (local(7002, KILL % "web"), True),
        (local(7001, KILL % "cart"), False),
        (local(7002, KILL % "cart"), False),
        (local(9999, KILL % "cart"), False),
        (local(7003, "    - {fault: network-latency, target: {link: web-cart}, with: {delay: 1s}, for: 20s}"), True),
        (local(7001, "    - {fault: network-latency, target: {link: web-cart}, with: {delay: 1s}, for: 20s}"), False),
        (local(0, KILL % "cart", probe="noop: {value: 200}"), True),
        (local(0, "    - {fault: noop, for: 20s}", probe="noop: {value: 200}"), False),
    ],
)
def test_a_hypothesis_that_no_fault_can_touch_is_a_weakness(text: str, weak: bool, tmp_path: Path) -> None:
    assert [one.rule for one in warnings_of(tmp_path, text)] == (["untouched"] if weak else [])


def test_faults_on_every_service_at_the_same_time_are_a_weakness(tmp_path: Path) -> None:
    steps = [f"        - {{fault: process-kill, target: {{service: {name}}}}}" for name in ("web", "cart", "mail")]
    told = warnings_of(tmp_path, local(7001, "    - together:", *steps))
    assert [one.rule for one in told] == ["everything"]
    assert warnings_of(tmp_path, local(7001, "    - together:", *steps[:2])) == []


def test_all_pods_at_once_are_a_weakness_on_a_cluster(tmp_path: Path) -> None:
    platform = "kubernetes: {namespaces: [shop], services: {cart: {namespace: shop, workload: deployment/cart}}}"
    text = local(7001, "    - {fault: pod-kill, target: {service: cart, take: all}}")
    head, _, tail = text.partition("    local:")
    cluster = f"{head}    {platform}\n---{tail.partition('---')[2]}"
    (one,) = warnings_of(tmp_path, cluster)
    assert (one.rule, one.path) == ("everything", "spec.method[0].target.take")
    assert warnings_of(tmp_path, cluster.replace("take: all", "take: 50%")) == []
