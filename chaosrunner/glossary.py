"""The words of chaosrunner, each with one meaning, and its exit codes: what `chaosrunner explain` says."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "experiment": "What to break, where, for how long, and which hypotheses must hold. One file each.",
    "hypothesis": "A named set of measures with tolerances: what must hold while something is broken. Reusable.",
    "measure": "One thing read from the live system by a probe, every so often, with a tolerance.",
    "reading": "A number (or text, or true/false) at a time, or the reason why there is none.",
    "no answer": "The system under test refused, reset or did not answer in time. That is a reading, and it meets no "
    "tolerance.",
    "no reading": "The instrument failed (a metrics server that is down, NaN, an empty result). Not a reading; too "
    "many of these make a measure inconclusive.",
    "tolerance": "The rule that a reading is held against: atMost, atLeast, between, equals, matches or like "
    "baseline; one for all phases, or one for each.",
    "margin": "How much room a reading left to its limit.",
    "phase": "Baseline, fault or recovery: the three parts of a run.",
    "baseline": "The time before anything is broken. Every judged measure must be inside its tolerance here, or "
    "nothing is broken at all (exit code 5). Limits such as `4x baseline` are relative to its median.",
    "recovery": "The time after the last undo, until every judged measure stays inside its tolerance again.",
    "answer": "Held, inconclusive or broken: of a measure, a hypothesis or a run. The worst wins: broken, then "
    "inconclusive, then held.",
    "held": "Everything that was judged stayed inside its tolerance, and there were readings enough to say so.",
    "inconclusive": "It cannot be said: readings are missing, or the fault was not seen in force, or met nothing.",
    "broken": "A reading was outside its tolerance while a fault was in force.",
    "fault": "One way of breaking something; a plugin. `chaosrunner catalog faults` lists them.",
    "probe": "Reads one value from the live system; a plugin. `chaosrunner catalog probes` lists them.",
    "read": "A step of the method that takes one reading between faults, for later steps: `${steps.ID.value}`.",
    "steps": "`${steps.ID.WORD}` in a later step: what an earlier one chose (known when the plan is made) or reports "
    "in the run (known when it has run). `chaosrunner explain CR045` says where the latter may not stand.",
    "target": "One concrete thing that a fault acts on, found by a selector.",
    "selector": "`target:` of a step: how targets are found, by service, connection, link, workload or node.",
    "platform": "Where targets live: processes and TCP connections of this machine, or a Kubernetes cluster.",
    "environment": "A named system under test: its platform, metrics, guards, trackers and notifiers. One file each.",
    "link": "A TCP connection path between two services of a local environment, carried by chaosrunner's proxy so that "
    "faults can act on it.",
    "plan": "The experiment with everything resolved: targets, samples, guards' answers, undo. `chaosrunner plan` "
    "prints it and touches nothing.",
    "run": "One execution of a plan. Its id sorts by time.",
    "journal": "A run's append-only record, the truth: everything shown anywhere can be rebuilt from it.",
    "ledger": "The part of the journal that says which faults are in force and how to undo each.",
    "undo": "Takes a fault back. It is on disk before the fault acts, and doing it twice is harmless.",
    "heal": "Undo what a dead run left in force: `chaosrunner heal`.",
    "halt": "Stop a run before its end and take every fault back at once: `chaosrunner halt`, or Ctrl-C.",
    "seed": "The number that chose the targets. The same seed on the same system picks the same targets.",
    "guard": "A rule that can refuse or stop a run. One that cannot be answered refuses.",
    "guardian": "The thing next to the target that takes a fault back when the runner is gone.",
    "lease": "Keeps two runs from acting on the same target at once.",
    "lag": "How old what a reading tells may be. A reading is judged in a phase only when it lies wholly inside.",
    "settle": "The first part of a fault, whose readings are recorded and not judged.",
    "gap": "Something that a run showed and that should not be so; one run finds none, one or many.",
    "impact": "A gap: a hypothesis broke while a fault was in force.",
    "no recovery": "A gap: the system did not come back within `recovery.within` after the last undo.",
    "aborted": "A gap: an abort limit (`abortAt`) was reached, so that everything was undone before its time.",
    "undetected": "A gap: the alert that the experiment expects did not fire in time.",
    "undo failed": "A gap, and exit code 7: a fault could not be taken back and may still be in force. "
    "`chaosrunner heal` tries again.",
    "close call": "A gap: it held, with less than 10 % room.",
    "no redundancy": "A gap: a guard refused, because there was nothing that could have taken over.",
    "spill-over": "A gap: something that was not a target broke.",
    "reported": "A near miss that no run found: a person, or an alert, told of it. A draft until somebody takes it on.",
    "waiver": "A named person's acceptance of a near miss until a date. Neither its owner nor who asks for it may give "
    "it, and it ends by itself.",
    "evidence": "What else changed while a fault was in force: metrics, log lines, events, other runs and deploys. "
    "Hints with numbers and a time, the strongest first; never a cause.",
    "clue": "One thing that changed while a fault was in force; part of the evidence of a gap.",
    "near miss": "The lasting record of a gap. The same gap found again is the same near miss.",
    "unsafe condition": "The class of a near miss that is a weak or missing defence, such as a single replica, or a "
    "close call.",
    "incident": "The class of a near miss whose effect left what was meant to be hit.",
    "priority": "How urgent a near miss is, P1 to P4: what the same fault would cost in production, against how many "
    "defences still stood. Its due date follows from it.",
    "register": "Where near misses are kept, with everything that became of them: `chaosrunner near-miss list`.",
    "occurrence": "One time that a near miss was found.",
    "fingerprint": "What makes two gaps the same near miss: never values, thresholds, pod names, versions or dates.",
    "remediation": "The linked work that fixes a near miss, in a tracker.",
    "tracker": "Where remediation items live; a plugin. `chaosrunner catalog trackers` lists them.",
    "notifier": "Tells people or machines what happened; a plugin.",
    "runbook": "An automation that fixes or checks something; a plugin.",
    "verified": "A near miss whose fix was proved by passing runs. Only chaosrunner sets it.",
    "suite": "Experiments that are run together, by a gate or on a schedule: as many at a time as do not overlap.",
    "gate": "Says whether a release may go out: runs what is due of a suite, and applies its policy. `chaosrunner gate "
    "SUITE` answers yes, no, or that it cannot be said.",
    "policy": "`gate:` of a suite: what keeps a release back. The default is a new or regressed P1 or P2, an incident, "
    "an expired waiver, an inconclusive run and an undo that failed.",
    "ratchet": "A gate's policy that only what is worse than a recorded baseline keeps a release back.",
    "game day": "People break something together on purpose, at a time that all know, led by a facilitator, and write "
    "down what they learn. `chaosrunner gameday run` leads through it, `chaosrunner gameday watch` follows it.",
    "go/no-go": "What is asked before anything is broken on a game day: guards, open incidents, firing alerts, the "
    "steady state, who is there, and questions to the room.",
    "surprise": "An experiment of a game day (`blind: true`) that only its facilitator is shown until it is over.",
    "duration": "A number with its unit: 500ms, 30s, 5m, 1h30m, 2d.",
    "ratio": "A share: 50% or 0.5.",
    "rate": "Events a second, a minute or an hour: 50/s, 300/m.",
    "size": "Bytes: 512B, 10kB (1000), 64MiB (1024 times 1024).",
    "bandwidth": "Bytes or bits a second: 100kB/s, 1MiB/s, 8Mbit/s.",
    "limit": "Of a tolerance: a number with an optional unit (200ms, 1%, 3), or relative to the baseline's median: "
    "4x baseline, baseline + 20ms.",
    "secret": "Never written in a file, only named: `{env: NAME}`, `{file: PATH}` or, for runs in the cluster, a key "
    "of a Kubernetes Secret (secretKeyRef). Its value is never printed or kept.",
    "secretKeyRef": "Where a secret is: `{secretKeyRef: {name: N, key: K}}`, a key of a Kubernetes Secret; see secret.",
    "parameter": "A value that a file asks for, with a type and maybe a default: `${name}` in `spec`, given by "
    "`--parameter name=value`, by `use:` or by a matrix.",
    "injector": "What runs beside a target and holds a fault there: a process of its own, with its own deadline.",
    "heartbeat": "What the runner sends to everything that holds a fault. Where it is missing for 5 s, the fault is "
    "taken back, so that nothing outlives the runner for long.",
    "netem": "The kernel's own way to delay, lose or change packets: how network faults on pods are done where it is.",
    "proxy": "What carries connections in place of the network, so that faults can act on them: on links of this "
    "machine, and in pods whose kernel has no netem.",
    "like baseline": "A tolerance: what is read must be distributed as it was in the baseline, as a whole phase.",
    "reference": "How one file names another: a path, or a name that is looked for in the same file, its folder, and "
    "the environments/, hypotheses/ and experiments/ folders beside or above it.",
}

EXIT_CODES: Mapping[int, str] = {
    0: "Every hypothesis held (a close call too, unless --strict).",
    1: "A gap was found, an abort limit included; for `gate`: the policy says no.",
    2: "The command or a file is wrong; nothing was started.",
    3: "Inconclusive; for `gate` also: refused, not steady, stopped, out of time, register out of reach.",
    4: "Refused by a guard; nothing was injected.",
    5: "The baseline was not steady; nothing was injected.",
    6: "Halted (by a person, a signal, a halt file) before its end, and no gap found; everything undone.",
    7: "An undo failed: a fault may still be in force.",
    70: "A defect of chaosrunner itself, or of a plugin.",
}
