"""The rules that files are held against: each with a code that never changes, why it is there, and an example of both.

A problem names its rule (`Problem.rule`); one that names none falls under `mistake`, or `weakness` where it is a
warning. `chaosrunner explain CR020` shows a rule, `docs/rules.md` all of them, and a comment in a file can set a warning
aside: `# chaosrunner: ignore CR110 because …`. A code that was given is never given again.
"""

# ruff: noqa: E501  an example stands in one line
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from chaosrunner.errors import Problem


class Rule(NamedTuple):
    """One rule."""

    code: str
    name: str
    title: str
    why: str
    bad: str
    """A part of a file that breaks it."""
    good: str
    """The same as it should be."""

    @property
    def warns(self) -> bool:
        """Whether breaking it is a warning: the file is right, and will hardly help."""
        return self.code >= "CR100"


MISTAKE, WEAKNESS = "mistake", "weakness"

_ALL = (
    # ------------------------------------------------------------------------------------------- what is no YAML
    Rule("CR001", "yaml", "The file is not YAML", "Nothing of a file can be trusted whose indentation, quotes or brackets do not fit.", "measures:\n- name: p99\n   every: 5s", "measures:\n- name: p99\n  every: 5s"),
    Rule("CR002", "not-text", "The file holds something else than text in UTF-8", "Control characters and other encodings are read differently by different programs.", "title: caf\\xe9 in Latin-1", "title: café, saved as UTF-8"),
    Rule("CR003", "too-big", "The file is too big, too deep, or grows without end", "A file may not eat the memory of the machine that checks it. References count each time they are used.", "a: &a [x, x]\nb: &b [*a, *a]  # … twenty times", "hypotheses: [checkout-slo]  # a name in place of a copy"),
    Rule("CR004", "empty-file", "The file is empty", "A file that says nothing was probably cut off, or never written.", "# nothing but comments", "apiVersion: chaosrunner.dev/v1\nkind: Hypothesis"),
    Rule("CR005", "given-twice", "A key is given twice", "Which of the two counts would be chance, so neither does.", "every: 5s\nevery: 1s", "every: 1s"),
    Rule("CR006", "yaml-feature", "A feature of YAML that is not supported", "Tags of programs, merge keys, and lists or mappings as keys mean something else to each program.", "<<: *defaults\nevery: 1s", "every: 1s\ntimeout: 2s  # written out"),
    Rule("CR007", "unknown-anchor", "A reference to nothing", "`*name` stands for what `&name` marked further up in the same document.", "labels: *labels", "labels: {team: checkout}"),
    Rule("CR008", "not-finite", "A number that cannot be used", "Infinite, not-a-number and very long numbers have no place in a measurement.", "equals: .inf", "atMost: 1000"),
    # ----------------------------------------------------------------------------------------- what is no document
    Rule("CR010", "not-a-document", "The document is no mapping", "A document has apiVersion, kind, metadata and spec.", "- fault: pod-kill", "apiVersion: chaosrunner.dev/v1\nkind: Experiment"),
    Rule("CR011", "unknown-kind", "The kind of document is missing or unknown", "The kind decides which fields a document has.", "kind: Expriment", "kind: Experiment"),
    Rule("CR012", "api-version", "Another version of the file format", "What is written for another version may mean something else.", "apiVersion: chaosrunner.dev/v2", "apiVersion: chaosrunner.dev/v1"),
    # -------------------------------------------------------------------------------------------------- fields
    Rule("CR020", "unknown-field", "A field that is not known", "A misspelt field would silently do nothing: the limit that you rely on would not be there.", "abortat: {atMost: 5s}", "abortAt: {atMost: 5s}"),
    Rule("CR021", "missing-field", "A field is missing", "Without it the document says too little to act on.", "http: {read: status}", 'http: {url: "http://checkout.shop/healthz", read: status}'),
    Rule("CR022", "wrong-type", "A value of another type", "Text is no number and no list. `yes`, `no`, `on` and `off` are text too: YAML 1.2 has true and false.", "production: no", "production: false"),
    Rule("CR023", "unknown-word", "A word that is not known here", "The field takes one of a few words, and means nothing by any other.", "whenMissing: fail", "whenMissing: broken"),
    Rule("CR024", "out-of-range", "A value beyond what is allowed", "The number, or the length of the text or list, makes no sense here.", "risk: {occurrence: 11}", "risk: {occurrence: 10}"),
    Rule("CR025", "not-a-name", "Not a name", "Names stand in file names, labels and addresses, so they are lower case letters, digits, dots and dashes.", "name: Checkout SLO", "name: checkout-slo"),
    Rule("CR026", "quantity", "A quantity is written wrongly", "Quantities have units, so that nobody takes milliseconds for seconds: 500ms, 30s, 5m; 50%; 20/s; 64MiB; 1MiB/s.", "every: 5", "every: 5s"),
    Rule("CR027", "wrong-form", "A value is written in another form than expected", "The value cannot be read as what this field takes.", 'windows: ["Mon-Fri 9-16"]', 'windows: ["Mon-Fri 09:00-16:00 Europe/Berlin"]'),
    Rule("CR028", "contradiction", "Fields that do not go together", "Each is right by itself; together they cannot be done, or mean two things at once.", "baseline: {for: 60s, within: 30s}", "baseline: {for: 60s, within: 3m}"),
    Rule("CR029", "secret-in-file", "A secret is written in the file", "Files are committed, shared and shown in reports. A secret is only ever named: by env, file or secretKeyRef.", "bearerToken: s3cret", "bearerToken: {env: PROM_TOKEN}"),
    # ------------------------------------------------------------------------------------------ plugins, measures
    Rule("CR030", "unknown-plugin", "A fault, probe or other plugin that is not there", "`chaosrunner catalog` lists what is installed.", "fault: network-latncy", "fault: network-latency"),
    Rule("CR031", "one-kind", "Not exactly one kind with its parameters", "Where a plugin stands, its kind is the one key, and its parameters stand below.", "tracker: github", "tracker: {github: {repository: acme/checkout}}"),
    Rule("CR032", "one-probe", "A measure without a probe, or with two", "A measure reads one thing.", "- name: p99\n  probe: http", '- name: p99\n  http: {url: "http://checkout.shop/", read: latency}'),
    Rule("CR033", "name-taken", "A name is used twice", "What it refers to would be chance.", "- {name: p99, noop: {value: 1}}\n- {name: p99, noop: {value: 2}}", "- {name: p99, noop: {value: 1}}\n- {name: p50, noop: {value: 2}}"),
    Rule("CR034", "unknown-unit", "A unit that is not known", "Limits are converted to the measure's unit.", "unit: sec", "unit: s"),
    Rule("CR035", "unit-misfit", "A unit that does not fit", "A limit in bytes cannot be held against seconds; and a probe that knows its unit is not told another.", "tolerance: {atMost: 200MB}  # of a latency", "tolerance: {atMost: 200ms}"),
    Rule("CR036", "mixed-readings", "Readings are held against numbers and text", "A measure's readings are all of one type.", "tolerance:\n  baseline: {matches: ok}\n  fault: {atMost: 3}", "tolerance:\n  baseline: {atMost: 2}\n  fault: {atMost: 3}"),
    Rule("CR037", "not-read-there", "A rule about a phase in which nothing is read", "`during` says when a measure is read. What is not read can neither abort a run nor serve as its baseline.", "during: fault\ntolerance: {atMost: 2x baseline}", "during: continuous\ntolerance: {atMost: 2x baseline}"),
    Rule("CR038", "promql", "A query that is no PromQL", "Prometheus would refuse it in every reading, and the run would be inconclusive.", "prometheus: {query: 'sum(rate(http_requests_total[1m])'}", "prometheus: {query: 'sum(rate(http_requests_total[1m]))'}"),
    Rule("CR039", "openslo", "An OpenSLO objective that cannot be taken over", "What a hypothesis cannot say is not left out in silence.", "openslo: {slo: latency.yaml, over: 5m}  # of an SLO without an indicator", "openslo: {slo: latency.yaml, over: 5m}  # of one with a ratio metric"),
    # --------------------------------------------------------------------------------------------------- steps
    Rule("CR040", "step-form", "Not a step", "A step is one fault, one wait, or several faults together.", "- fault: noop\n  wait: 10s", "- {fault: noop, for: 10s}\n- wait: 10s"),
    Rule("CR041", "step-time", "How long a fault lasts is missing or makes no sense", "A fault that lasts says `for`; one that is over at once (a kill) is followed by `observe`.", "{fault: pod-kill, target: {service: cart}, for: 30s}", "{fault: pod-kill, target: {service: cart}, observe: 30s}"),
    Rule("CR042", "step-target", "The target does not fit the fault", "Each fault acts on pods, connections, processes or nodes, and the target must name such.", "{fault: network-latency, target: {service: checkout}}  # on a platform with links", "{fault: network-latency, target: {service: checkout, to: payments}}"),
    Rule("CR043", "same-as", "`sameAs` names no step that chose targets", "It takes over the targets that an earlier step chose.", "{fault: pod-kill, target: {sameAs: slwo}}", "{fault: pod-kill, target: {sameAs: slow}}"),
    Rule("CR044", "step-value", "`${steps.ID.WORD}` stands for nothing", "It names a step that comes before, and a word that the plan knows of its targets or that its kind reports.", "with: {arguments: {name: '${steps.ledaer.value}'}}", "with: {arguments: {name: '${steps.leader.value}'}}"),
    Rule("CR045", "known-too-late", "A value that only the run knows, where the plan needs it", "Targets, blast radius, permissions, strength and time limits are settled before anything is broken, so nothing that is reported later may change them.", "target: {service: '${steps.leader.value}'}", "target: {service: checkout}"),
    # ---------------------------------------------------------------------------------------------- references
    Rule("CR050", "not-found", "A reference leads nowhere, or to two places", "A reference is a path, or a name in the same file, its folder, or environments/, hypotheses/ and experiments/ beside or above it.", "hypotheses: [chekout-slo]", "hypotheses: [checkout-slo]"),
    Rule("CR051", "no-environment", "The experiment names no environment", "Where nothing is named, nothing may be broken.", "spec:\n  title: Carts survive", "spec:\n  title: Carts survive\n  environment: staging"),
    Rule("CR052", "unknown-place", "The environment has no such service or link", "Targets are named by the environment, so that one experiment fits many systems.", "target: {service: chekout}", "target: {service: checkout}"),
    Rule("CR053", "wrong-platform", "The fault does not work on this platform", "A fault needs what it acts on: a pod cannot be killed on a laptop without pods.", "fault: pod-kill  # on the platform local", "fault: process-kill"),
    Rule("CR054", "parameter", "A parameter is missing, unknown or of another type", "What is left open in one file must be filled in where it is used.", "{use: latency-slo}", "{use: latency-slo, with: {service: checkout}}"),
    Rule("CR055", "no-traffic", "A measure of the run's own load, and there is none", "The traffic probe reads what the experiment's own load saw.", "measures: [{name: errors, traffic: {read: errorRatio}}]", 'traffic: {url: "http://checkout.shop/", rate: 20/s}'),
    Rule("CR056", "extends", "An experiment that cannot be extended", "What it would take over must be an experiment with fields, and may not be itself.", "extends: checkout-slow  # in checkout-slow", "extends: checkout-base"),
    Rule("CR057", "matrix", "A matrix whose runs would be the same, or too many", "Each combination is a run that breaks something: none is made twice, and nobody meant a thousand of them.", "matrix: {delay: [1s, 1s]}", "matrix: {delay: [1s, 2s]}"),
    Rule("CR058", "none-chosen", "An entry of a suite that chooses no experiment", "A gate that runs nothing would pass.", "experiments: [{labels: {taem: checkout}}]", "experiments: [{labels: {team: checkout}}]"),
    Rule("CR059", "suite-order", "An order that cannot be kept", "`after` names experiments of the same suite, and nothing waits for itself.", "experiments: [{experiment: one, after: [tow]}, two]", "experiments: [{experiment: one, after: [two]}, two]"),
    Rule("CR060", "nobody-to-ask", "The environment names nobody who knows", "Alerts are read from a Prometheus or an Alertmanager, and silences are made in an Alertmanager. Without one, nothing would ever be found to fire.", "goNoGo: {alerts: [severity=critical]}  # and no prometheus in the environment", "prometheus: {url: https://prometheus.staging.example}"),
    Rule("CR061", "silence-too-wide", "A silence that could hide other people's alerts", "It must name something of the environment: a service, workload or namespace.", "silence: {matchers: [severity=page]}", "silence: {matchers: [service=checkout]}"),
    Rule("CR062", "cannot-tell", "A notifier that does not tell of this", "What marks or pages has no words for a game day that is about to begin.", "communications: {notify: [{pagerduty: {routingKey: {env: PD}}}]}", "communications: {notify: [{slack: {webhook: {env: SLACK}}}]}"),
    Rule("CR099", MISTAKE, "Another mistake", "The message says what is wrong; no rule of its own has been made for it.", "spec: something else", "spec: what the message asks for"),
    # ------------------------------------------------------------------------------------------ weak experiments
    Rule("CR101", "no-abort-limit", "Nothing would stop the run early", "Without `abortAt` on any measure a fault stays in force to its end, however bad it gets.", "- name: errors\n  tolerance: {atMost: 1%}", "- name: errors\n  tolerance: {atMost: 1%}\n  abortAt: {atMost: 20%, for: 10s}"),
    Rule("CR102", "never-judged", "Nothing is judged while a fault is in force", "The run would hold whatever happens.", "tolerance: {baseline: {atMost: 1%}}", "tolerance: {atMost: 1%}"),
    Rule("CR103", "fault-too-short", "The fault is over before a reading tells of it", "A reading is judged only when all that it tells of lies in the fault: that takes twice the measure's lag.", "for: 10s  # with a query over [1m]", "for: 3m"),
    Rule("CR104", "read-too-rarely", "A measure is read less often than the fault lasts", "It may not be read at all while the fault is in force.", "every: 1m  # with a fault for: 30s", "every: 5s"),
    Rule("CR105", "all-settling", "`settle` lasts as long as the fault", "Readings while a fault settles are recorded and not judged: nothing would be.", "for: 30s\nsettle: 30s", "for: 60s\nsettle: 10s"),
    Rule("CR106", "lag-too-small", "`lag` is smaller than the query's own range", "A reading tells of all that its query looks back on; with too small a lag, what was before the fault would be judged as the fault.", "prometheus: {query: 'rate(a[5m])'}\nlag: 10s", "prometheus: {query: 'rate(a[30s])'}"),
    Rule("CR107", "too-few-readings", "Too few readings for `like baseline`", "A rank test needs enough readings before and during the fault; with fewer, only a great difference shows.", "every: 5s\ntolerance: like baseline", "every: 500ms\ntolerance: like baseline"),
    Rule("CR110", "cannot-fail", "A tolerance that can never fail", "A ratio is never above 100 %, a latency never below 0, and every text matches `.*`: the measure would hold whatever happens.", "tolerance: {atMost: 100%}  # of an error ratio", "tolerance: {atMost: 1%}"),
    Rule("CR111", "untouched", "A hypothesis that the fault cannot touch", "It only reads what the run itself writes or a constant, or the method breaks nothing: the answer is known beforehand.", "measures: [{name: one, noop: {value: 1}, tolerance: {equals: 1}}]", 'measures: [{name: page, http: {url: "http://checkout.shop/", read: status}, tolerance: {equals: 200}}]'),
    Rule("CR112", "no-recovery", "No time to recover", "Whether the system comes back after the fault is half of the answer; without time for it a system that stays down passes.", "recovery: {within: 0s}", "recovery: {within: 60s}"),
    Rule("CR113", "everything", "The blast radius is everything", "With all targets hit there is no defence left to be tested: the outcome is an outage, in staging and on paper.", "{fault: pod-kill, target: {service: cart, take: all}}", "{fault: pod-kill, target: {service: cart, take: 1}}"),
    Rule("CR114", "query-without-target", "A query without a label", "It adds up everything that has this metric: other teams' services hide what the fault did, or fail for other reasons.", "query: sum(rate(http_requests_total[1m]))", """query: sum(rate(http_requests_total{app="checkout"}[1m]))"""),
    Rule("CR115", "baseline-too-short", "The baseline is too short for a relative limit", "`Nx baseline` compares with the median of at least three readings.", "baseline: 5s  # with every: 5s and {atMost: 2x baseline}", "baseline: 30s"),
    Rule("CR116", "abort-inside-tolerance", "The abort limit is stricter than the tolerance", "The run would be aborted by readings that are in order, and never come to its end.", "tolerance: {atMost: 5%}\nabortAt: {atMost: 1%}", "tolerance: {atMost: 5%}\nabortAt: {atMost: 20%}"),
    Rule("CR117", "no-runbook-file", "A runbook that cannot be played", "When the gap is found, the automation that should fix it would fail.", "runbook: {ansible: {playbook: runbooks/tmeouts.yaml}}", "runbook: {ansible: {playbook: runbooks/timeouts.yaml}}"),
    # ------------------------------------------------------------------------------------------------- comments
    Rule("CR190", "ignore-unclear", "An `ignore` that ignores nothing", "It must name known rules that are warnings, and say why: whoever reads it in a year must be able to judge it again.", "# chaosrunner: ignore CR101", "# chaosrunner: ignore CR101 because the load is synthetic"),
    Rule("CR191", "ignore-unused", "An `ignore` that is not needed any more", "Left in the file, it would hide the same weakness when it comes back.", "# chaosrunner: ignore CR101 because …  # and there is an abort limit", "# nothing"),
    Rule("CR199", WEAKNESS, "Another weakness", "The message says what will hardly help; no rule of its own has been made for it.", "spec: something weak", "spec: what the message asks for"),
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.name: rule for rule in _ALL}
"""By name, in the order of their codes."""
CODES: Mapping[str, Rule] = {rule.code: rule for rule in _ALL}

_STARTS = (
    ("unknown field", "unknown-field"),
    ("unknown kind", "unknown-kind"),
    ("there is no ", "not-found"),
    ("two or more are", "not-found"),
    ("the parameter ", "parameter"),
)
"""What the message of a problem begins with that names no rule -> its rule."""


def rule_of(problem: Problem, *, warning: bool = False) -> Rule:
    """The rule that a problem is about; always one."""
    if problem.rule in RULES:
        return RULES[problem.rule]
    told = next((name for start, name in _STARTS if problem.message.startswith(start)), "")
    return RULES[WEAKNESS if warning else told or MISTAKE]


def find(word: str) -> Rule | None:
    """A rule by its code or name, in any case."""
    return CODES.get(word.upper()) or RULES.get(word.lower())
