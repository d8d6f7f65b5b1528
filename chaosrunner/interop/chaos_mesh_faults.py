"""One kind of chaos of Chaos Mesh as steps of ours. What our own faults cannot do is left to Chaos Mesh, through the
fault `chaos-mesh`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosrunner.interop.peer_draft import Draft, Said, left_out
from chaosrunner.interop.peer_fields import Fields, bandwidth, lasts, percent, seconds, size
from chaosrunner.interop.toolkit_file import slug
from chaosrunner.model.quantities import write_duration

DELEGATED = {
    "IOChaos": "slows down or fails single file operations, which chaosrunner cannot (`io-stress` makes a disk slow, "
    "`disk-fill` full)",
    "TimeChaos": "shifts the clock of processes, which is impossible for chaosrunner: it changes nothing inside a "
    "running process",
    "KernelChaos": "fails calls inside the kernel, which chaosrunner cannot",
    "JVMChaos": "changes what runs in a JVM, which chaosrunner cannot",
    "BlockChaos": "slows a block device down, which chaosrunner cannot",
}
_OUTSIDE = ("AWSChaos", "GCPChaos", "AzureChaos", "PhysicalMachineChaos", "CloudStackChaos")
_UNKNOWN = "its kind is not known here"
LABEL = "say=which-pods"
"""Stands where a file selects by what our targets do not know."""
_CALLER = "say-which-caller"


def steps_of(
    draft: Draft, kind: str, spec: Fields, space: str, *, name: str = "", otherwise: object = None
) -> list[Said]:
    """The steps of one kind of chaos. `otherwise`: its time, where the spec itself has none."""
    made = _Chaos(draft, kind, spec, space, name or draft.name, otherwise)
    return made.steps()


class _Chaos:
    """One resource on its way."""

    def __init__(self, draft: Draft, kind: str, spec: Fields, space: str, name: str, otherwise: object) -> None:
        self._draft, self._kind, self._spec, self._space = draft, kind, spec, space
        self._id = slug(name, "step")
        self._remarks: list[str] = []
        given = spec.take("duration")
        self._lasts = lasts(otherwise if given is None else given)
        if given is None and otherwise is None:
            self._timed = False
        else:
            self._timed = True

    def steps(self) -> list[Said]:
        """Its steps, with what was lost as remarks in the first one."""
        make: dict[str, Callable[[], list[Said]]] = {
            "PodChaos": self._pod,
            "NetworkChaos": self._network,
            "StressChaos": self._stress,
            "HTTPChaos": self._http,
            "DNSChaos": self._dns,
        }
        if self._kind in make:
            steps = make[self._kind]()
        elif self._kind in DELEGATED:
            steps = [self._delegated(DELEGATED[self._kind])]
        else:
            outside = self._kind in _OUTSIDE
            why = (
                "it acts on no pods, and chaosrunner only on what a Kubernetes environment has" if outside else _UNKNOWN
            )
            made = left_out(self._draft, f"The {self._kind or 'resource without a kind'}", why, lasts=self._lasts)
            self._draft.leftovers(made, self._spec)
            return [made]
        first = steps[0].get("together", steps)[0]
        if not self._timed and "observe" not in first:
            self._remarks.append(
                f"It had no duration, and would stay until it is deleted: here it lasts {self._lasts}."
            )
        for remark in self._remarks:
            self._draft.note(first, remark)
        self._draft.leftovers(first, self._spec)
        return steps

    def _step(self, fault: str, params: Said, target: Said, *, instant: bool = False) -> Said:
        made: Said = {"id": self._id, "fault": fault, "target": target, **({"with": params} if params else {})}
        return {**made, "observe" if instant else "for": self._lasts}

    # --------------------------------------------------------------------------------------------------------- targets

    def _target(self) -> Said:
        selected = self._selected(self._spec.inside("selector"))
        if "selector" in selected:
            self._draft.ready = {"namespace": selected["namespace"], "selector": selected["selector"]}
        return {**selected, "take": self._take(self._spec)}

    def _take(self, spec: Fields) -> Any:
        mode, value = spec.text("mode", "one"), spec.number("value")
        if mode == "all":
            return "all"
        if mode == "fixed" and value:
            return int(value)
        if mode in ("fixed-percent", "random-max-percent") and value:
            if mode == "random-max-percent":
                self._remarks.append(f"`mode: random-max-percent` hit at most {value:g} %; here it is exactly that.")
            return percent(value)
        if mode != "one":
            self._remarks.append(f"`mode: {mode}` is not known: one pod is hit.")
        return 1

    def _selected(self, selector: Fields) -> Said:
        """Which pods, as a target says it."""
        pods = selector.inside("pods")
        spaces = [str(each) for each in selector.many("namespaces")] or pods.names() or [self._space]
        if len(spaces) > 1:
            self._remarks.append(
                f"It selected in {len(spaces)} namespaces ({', '.join(spaces)}); a target has one: add a step for each."
            )
        made: Said = {"namespace": self._draft.inside(spaces[0])}
        words = [f"{key}={value}" for key, value in selector.pairs("labelSelectors").items()]
        words += [self._expression(each) for each in selector.each("expressionSelectors")]
        if pods:
            chosen = [str(name) for name in pods.many(spaces[0])]
            made |= {"names": chosen} if chosen else {}
        if words:
            made["selector"] = ",".join(words)
        if fields := self._field_words(selector):
            made["fields"] = ",".join(fields)
        nodes = [str(each) for each in selector.many("nodes")]
        if nodes:
            made["node"] = nodes[0]
            if len(nodes) > 1:
                self._remarks.append(f"A target is on one node; left out: {', '.join(nodes[1:])}.")
        if "selector" not in made and "names" not in made:
            made["selector"] = LABEL
            self._remarks.append(
                f"It selected without labels, all pods of a namespace: `{LABEL}` is a stand-in, say which are meant."
            )
        return made

    def _field_words(self, selector: Fields) -> list[str]:
        """What else than labels chooses pods, as a field selector says it."""
        fields = [f"{key}={value}" for key, value in selector.pairs("fieldSelectors").items()]
        phases = [str(each) for each in selector.many("podPhaseSelectors")]
        if len(phases) == 1 and phases != ["Running"]:  # others than running ones are never hit
            fields.append(f"status.phase={phases[0]}")
        elif len(phases) > 1:
            self._remarks.append(f"`podPhaseSelectors` ({', '.join(phases)}) was left out: running pods are hit.")
        return fields

    def _expression(self, rule: Fields) -> str:
        key, operator = rule.text("key"), rule.text("operator")
        values = ",".join(str(each) for each in rule.many("values"))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
        return words.get(operator, key)

    def _service(self, selected: Said, name: str) -> str:
        """A service of the environment for what a selector means, so that connections of it can be meant."""
        labels = str(selected.get("selector", LABEL))
        pairs = [each.partition("=") for each in labels.split(",")]
        if any(not equals or "(" in key or key.endswith("!") for key, equals, _ in pairs):
            self._remarks.append(f"The service {name} of the environment needs plain labels; it had `{labels}`.")
            pairs = [LABEL.partition("=")]
        given = {key: value for key, _, value in pairs}
        named = slug(given.get("app") or given.get("app.kubernetes.io/name") or name, name)
        return self._draft.service(named, {"namespace": selected["namespace"], "selector": given})

    # ------------------------------------------------------------------------------------------------------------ pods

    def _pod(self) -> list[Said]:
        action, target = self._spec.text("action"), self._target()
        if action == "pod-kill":
            grace = self._spec.number("gracePeriod")
            # Chaos Mesh's default is 0: the pod is deleted without time to end.
            return [
                self._step("pod-kill", {"grace": f"{grace:g}s"} if grace else {"force": True}, target, instant=True)
            ]
        if action == "pod-failure":
            return [self._step("pod-failure", {}, target)]
        if action == "container-kill":
            names = [str(each) for each in self._spec.many("containerNames")]
            if len(names) > 1:
                self._remarks.append(f"container-kill ends one container of a pod; left out: {', '.join(names[1:])}.")
            self._remarks.append(
                "Chaos Mesh has the container's runtime end it (SIGKILL); here the signal TERM is sent, which process "
                "1 must have a handler for."
            )
            return [self._step("container-kill", {"container": names[0]} if names else {}, target, instant=True)]
        return [self._delegated(f"has the action {action or 'of no name'}, which is not known here", target)]

    # --------------------------------------------------------------------------------------------------------- network

    def _network(self) -> list[Said]:
        spec, action = self._spec, self._spec.text("action")
        target = self._between(self._target())
        direction = spec.text("direction", "to")
        parts = [name for name in ("delay", "loss", "duplicate", "corrupt", "bandwidth") if name in spec]
        wanted = parts if action == "netem" else [action]
        steps = [made for name in wanted if (made := self._shaped(name, target, direction)) is not None]
        if not steps:
            why = f"has the action {action or 'of no name'} without what it is to do"
            return [left_out(self._draft, f"The NetworkChaos {self._id}", why, lasts=self._lasts)]
        return self._at_once(steps)

    def _at_once(self, steps: list[Said]) -> list[Said]:
        """The same pods for all of them."""
        if len(steps) == 1:
            return steps
        for step in steps[1:]:
            step["id"] = f"{self._id}-{step['fault']}"
            step["target"] = {"sameAs": self._id}
        return [{"together": steps}]

    def _between(self, target: Said) -> Said:
        """The target with its dependency, where the file names one."""
        outside = [str(each) for each in self._spec.many("externalTargets")]
        other = self._spec.inside("target")
        if not outside and not other:
            return target
        me = self._service(target, "caller")
        if other:
            selected = self._selected(other.inside("selector"))
            if other.text("mode", "all") != "all":
                self._remarks.append("Of the other end all pods are meant: its `target.mode` was left out.")
                other.take("value")
            to = self._service(selected, "dependency")
            self._draft.services[to]["service"] = to
            self._remarks.append(f"The other end is the Kubernetes Service {to}: say in the environment if it differs.")
        else:
            host, _, port = outside[0].rpartition(":") if outside[0].count(":") == 1 else (outside[0], "", "")
            to = self._draft.service(slug(host, "outside"), {"host": host, **({"port": int(port)} if port else {})})
        if len(outside) > (0 if other else 1):
            self._remarks.append(f"A target has one dependency; left out: {', '.join(outside[0 if other else 1 :])}.")
        narrowed = {key: target[key] for key in ("names", "fields", "node") if key in target}
        if narrowed:
            self._remarks.append("The caller is the whole service: its other selectors were left out.")
        return {"service": me, "to": to, "take": target["take"]}

    def _shaped(self, what: str, target: Said, direction: str) -> Said | None:
        if what == "partition":
            ways = {"to": "out", "from": "in", "both": "both"}
            return self._step("network-partition", {"direction": ways.get(direction, "both")}, target)
        given = self._spec.inside(what)
        if not given:
            return None
        if direction != "to":
            self._remarks.append(f"`direction: {direction}` was left out: what the targets send is meant.")
        made = {"delay": self._delay, "bandwidth": self._bandwidth}.get(what)
        if made is not None:
            return made(given, target)
        if given.number("correlation"):
            self._remarks.append("`correlation` was left out: packets are drawn one by one.")
        share = given.number(what)
        if not share:
            return None
        return self._step({"loss": "network-loss"}.get(what, f"network-{what}"), {"share": percent(share)}, target)

    def _delay(self, given: Fields, target: Said) -> Said:
        if given.number("correlation"):
            self._remarks.append("`correlation` was left out: each delay is drawn by itself.")
        reorder = given.inside("reorder")
        delay = seconds(given.take("latency")) or 0.0
        if reorder and (share := reorder.number("reorder")):
            for name in ("correlation", "gap"):
                if reorder.number(name):
                    self._remarks.append(f"`reorder.{name}` was left out.")
            return self._step(
                "network-reorder", {"share": percent(share), "delay": write_duration(delay or 0.1)}, target
            )
        params = {"delay": write_duration(delay or 0.001)}
        if jitter := seconds(given.take("jitter")):
            params["jitter"] = write_duration(min(jitter, delay))
        self._remarks.append(
            "Chaos Mesh delays every packet that the pod sends; `direction: request` delays what the pod sends on "
            "connections that it opens."
        )
        return self._step("network-latency", {**params, "direction": "request"}, target)

    def _bandwidth(self, given: Fields, target: Said) -> Said | None:
        rate = bandwidth(given.take("rate"))
        for name in ("limit", "buffer", "peakrate", "minburst"):
            if given.take(name) is not None:
                self._remarks.append(f"`bandwidth.{name}` was left out: queues are chaosrunner's own.")
        return self._step("network-bandwidth", {"rate": rate, "direction": "request"}, target) if rate else None

    # ----------------------------------------------------------------------------------------------------- load, names

    def _stress(self) -> list[Said]:
        stressors, target = self._spec.inside("stressors"), self._target()
        cpu, memory = stressors.inside("cpu"), stressors.inside("memory")
        steps = []
        if cpu:
            workers, load = cpu.number("workers") or 1, cpu.number("load")
            cores = workers * (100 if load is None else load) / 100
            steps.append(self._step("cpu-stress", {"cores": round(cores, 3) or 1}, target))
        if memory:
            workers, wanted = memory.number("workers") or 1, memory.text("size", "256MB")
            held = size(wanted)
            if held is None:
                self._remarks.append(f"The size was {wanted} of the memory that there is: `size` is a stand-in.")
                held = "256MiB"
            elif workers > 1:
                self._remarks.append(f"`memory.workers: {workers:g}` was left out: together they held {wanted}.")
            steps.append(self._step("memory-stress", {"size": held}, target))
        if self._spec.take("stressngStressors"):
            self._remarks.append("`stressngStressors` was left out: chaosrunner has its own load, not stress-ng's.")
        if self._spec.take("containerNames"):
            self._remarks.append("`containerNames` was left out: the load is beside the containers, in the pod.")
        return self._at_once(steps) if steps else [left_out(self._draft, "The StressChaos", "it has no stressors")]

    def _dns(self) -> list[Said]:
        action, target = self._spec.text("action", "error"), self._target()
        names = [str(each) for each in self._spec.many("patterns")]
        answer = "wrong" if action == "random" else "servfail"
        if action == "random":
            self._remarks.append("Names got random addresses; here all get 192.0.2.1, which is nobody's.")
        if self._spec.take("containerNames"):
            self._remarks.append("`containerNames` was left out: names are of the whole pod.")
        params: Said = {"answer": answer, **({"names": names} if names else {})}
        return [self._step("dns-fault", params, target)]

    # ------------------------------------------------------------------------------------------------------------ http

    def _http(self) -> list[Said]:
        spec = self._spec
        if any(name in spec for name in ("patch", "request_headers", "response_headers", "code", "tls")) or (
            spec.inside("replace").names() not in ([], ["code"])
        ):
            why = "changes headers, paths, queries or bodies, or chooses by them, which chaosrunner cannot"
            return [self._delegated(why)]
        selected = self._target()
        to = self._service(selected, "server")
        port = spec.number("port")
        self._draft.services[to]["service"] = to
        me = self._draft.service(_CALLER, {"namespace": selected["namespace"], "selector": {"say": "which-pods"}})
        self._remarks.append(
            f"Chaos Mesh changes what the server's pods answer to everybody; here it is one caller's requests to it: "
            f"say in the environment who {me} is, and which Kubernetes Service {to} is."
        )
        side = spec.text("target", "Request")
        params: Said = {}
        if path := spec.text("path"):
            params["path"] = path if path[:1] in "/*" else f"*{path}"
        if method := spec.text("method"):
            params["methods"] = [method.upper()]
        if delay := seconds(spec.take("delay")):
            params["delay"] = write_duration(delay)
        if spec.take("abort") is True:
            params["abort"] = True
        elif code := spec.inside("replace").number("code"):
            params["status"] = int(code)
            self._remarks.append("With `status` the server is not asked, whose answer was replaced before.")
        if not {"delay", "abort", "status"} & set(params):
            return [left_out(self._draft, "The HTTPChaos", "it says nothing of what becomes of requests")]
        if side == "Response" and "delay" in params:
            self._remarks.append("The delay was of answers; here it is before the request is passed on.")
        made = self._step("http-fault", params, {"service": me, "to": to, **({"port": int(port)} if port else {})})
        if selected["take"] != "all":
            self._remarks.append("`mode` was of the server's pods; of the callers' pods one is hit: see `take`.")
        return [made]

    # ------------------------------------------------------------------------------------------------------- delegated

    def _delegated(self, why: str, target: Said | None = None) -> Said:
        """Chaos Mesh goes on doing it, for a step of ours."""
        target = self._target() if target is None else target
        action = self._spec.take("action")
        spec = {name: self._spec.take(name) for name in self._spec.names() if name not in _OURS}
        if action:
            spec = {"action": action, **spec}
        self._remarks.append(
            f"A {self._kind} {why}: the fault `chaos-mesh` leaves it to Chaos Mesh, which must be in the cluster."
        )
        return self._step("chaos-mesh", {"kind": self._kind, "spec": spec}, target)


_OURS = ("selector", "mode", "value", "duration", "scheduler", "remoteCluster", "action")
