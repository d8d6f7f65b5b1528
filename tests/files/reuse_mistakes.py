"""Files of several documents with one mistake each, in what takes over from others: experiments that extend others, with
parameters and matrices, suites and game days. The mistake is where the ‸ is."""

# ruff: noqa: E501  a mistake is told in one line
from __future__ import annotations

SHOP = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec:
  platform: {local: {services: {shop: {listens: 80}}}}
"""
ALERTS = SHOP + '  alertmanager: {url: "http://127.0.0.1:9093"}\n'
HEAD = "---\napiVersion: chaosrunner.dev/v1\nkind: {}\nmetadata: {{name: {}, labels: {{team: cart}}}}\nspec:\n"


def experiment(name: str, *more: str) -> str:
    lines = (
        "title: It holds",
        "environment: here",
        "hypotheses: [{name: one, title: One, measures: [{name: one, noop: {}, tolerance: {equals: 1}}]}]",
        "method: [{fault: noop, for: 1s}]",
        *more,
    )
    return HEAD.format("Experiment", name) + "".join(f"  {line}\n" for line in lines)


def derived(*lines: str) -> str:
    return SHOP + experiment("base") + HEAD.format("Experiment", "own") + "".join(f"  {line}\n" for line in lines)


def suite(*lines: str, before: str = "") -> str:
    both = experiment("base", "parameters: {often: {meaning: How often, type: number, default: 2}}") + experiment(
        "other"
    )
    return (
        SHOP
        + both
        + before
        + HEAD.format("Suite", "release")
        + "".join(f"  {line}\n" for line in ("title: All hold", *lines))
    )


def game_day(*lines: str, environment: str = SHOP) -> str:
    whole = ("title: A day", "environment: here", *lines)
    if not any(line.startswith("agenda") for line in lines):
        whole += ("agenda: [{experiment: base}]",)
    return environment + experiment("base") + HEAD.format("GameDay", "day") + "".join(f"  {line}\n" for line in whole)


MANY = ", ".join(map(str, range(40)))
MISTAKES: list[tuple[str, str, str]] = [
    # -- what is extended
    ("not-found", derived("extends: ‸bsae"), "there is no Experiment 'bsae', did you mean 'base'?"),
    ("extends", derived("extends: ‸own"), "`extends` goes in a circle: own extends own"),
    ("wrong-type", derived("extends: ‸[base]"), "`extends` is a list, expected the name or path of an experiment"),
    (
        "extends",
        SHOP + "---\napiVersion: chaosrunner.dev/v1\nkind: Experiment\nmetadata: {name: empty}\nspec: ‸nothing\n"
        + HEAD.format("Experiment", "own") + "  extends: empty\n",
        "the experiment 'empty' has no fields in `spec`, expected an experiment to take over from",
    ),
    # -- parameters and matrices
    ("matrix", derived("extends: base", "title: after ${a}", "matrix: {a: [1s, ‸1s]}"), "'1s' stands there twice"),
    ("matrix", derived("extends: base", "matrix: {‸a: [1s, 2s]}"), "nothing uses `${a}`: all runs would be the same"),
    ("wrong-type", derived("extends: base", "matrix: {a: ‸1s}"), "`a` of the matrix is '1s', expected a list of values"),
    ("wrong-type", derived("extends: base", "matrix: ‸[a]"), "`matrix` is a list, expected a mapping of names to lists"),
    ("wrong-type", derived("extends: base", "title: ${a}", "matrix: {a: [‸{b: 1}]}"), "a value of the matrix is a mapping"),
    (
        "matrix",
        derived("extends: base", "title: ${a} ${b}", f"matrix: ‸{{a: [{MANY}], b: [{MANY}]}}"),
        "the matrix makes 1600 runs, expected at most 100",
    ),
    ("wrong-type", derived("extends: base", "parameters: ‸[a]"), "`parameters` is a list, expected a mapping of names"),
    ("not-a-name", derived("extends: base", "parameters: {‸A: {meaning: m, type: text, default: b}}"), "a parameter is named 'A'"),
    ("parameter", derived("extends: base", "title: ‸${a}", "parameters: {b: {meaning: m, type: text, default: b}}"), "`${a}`"),
    # -- what a step reads
    (
        "no-traffic",
        derived("extends: base", "method: [{id: a, read: {‸traffic: {read: p50}}}, {fault: noop, for: 1s}]"),
        "this step reads the experiment's own load, and there is none, expected `traffic:`",
    ),
    # -- suites
    ("not-found", suite("experiments: [‸bsae]"), "there is no Experiment 'bsae', did you mean 'base'?"),
    ("not-found", suite("experiments: [{folder: ‸nowhere}]"), "there is no folder nowhere"),
    ("not-found", suite("environment: ‸hree", "experiments: [base]"), "there is no Environment 'hree', did you mean 'here'?"),
    ("none-chosen", suite("experiments: [{labels: ‸{team: cat}}]"), "no experiment has the labels team=cat"),
    ("suite-order", suite("experiments: [{experiment: base, after: [‸othre]}, other]"), "the suite has no experiment 'othre'"),
    ("suite-order", suite("experiments: [{experiment: base, after: ‸[base]}]"), "'base' waits for itself"),
    ("parameter", suite("with: {‸oftn: 3}", "experiments: [base]"), "no experiment of the suite has a parameter `oftn`"),
    ("parameter", suite("experiments: [{experiment: base, with: {‸oftn: 3}}]"), "the experiment has no parameter `oftn`"),
    ("parameter", suite("experiments: [{experiment: base, with: {often: ‸x}}]"), "`often` is 'x', expected a number"),
    (
        "matrix",
        suite(f"experiments: ‸[{{experiment: base, matrix: {{often: [{', '.join(map(str, range(1001)))}]}}}}]"),
        "the suite has 1001 runs, expected at most 1000",
    ),
    ("unknown-field", suite("experiments: [{experiment: base, ‸afer: [other]}]"), "unknown field `afer`, did you mean 'after'?"),
    (
        "wrong-form",
        suite("experiments: [‸5]"),
        "item 1 of `experiments` is 5, expected the name or path of an experiment, or {experiment: NAME, …}",
    ),
    # -- game days
    ("not-found", game_day("agenda: [{experiment: ‸bsae}]"), "there is no Experiment 'bsae', did you mean 'base'?"),
    ("nobody-to-ask", game_day("goNoGo: {alerts: ‸[Page]}"), "the environment here names nothing that knows which alerts"),
    ("nobody-to-ask", game_day("stopWhen: {firing: ‸[Page]}"), "the environment here names nothing that knows which alerts"),
    ("nobody-to-ask", game_day("""communications: {silence: ‸{matchers: ['service="shop"']}}"""), "the environment here names no Alertmanager"),
    ("silence-too-wide", game_day("""communications: {silence: ‸{matchers: ['service="cart"']}}""", environment=ALERTS), "the silence names nothing of this environment"),
    ("cannot-tell", game_day("communications: {notify: [‸{pagerduty: {routingKey: {env: K}}}]}"), "`pagerduty` does not tell of game days"),
    ("parameter", game_day("agenda: [{experiment: base, with: {‸often: 3}}]"), "the experiment has no parameter `often`"),
]  # fmt: skip
"""(rule, file, how its message begins)"""
