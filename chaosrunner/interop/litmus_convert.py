"""LitmusChaos's ChaosEngines in our own format, with what the ChaosExperiments beside them say by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaosrunner.errors import UsageError
from chaosrunner.interop import litmus_probes
from chaosrunner.interop.litmus_faults import FAULTS, LEFT_OUT, Given
from chaosrunner.interop.peer_draft import Draft, Said, left_out, time_of
from chaosrunner.interop.peer_fields import Fields, seconds
from chaosrunner.interop.toolkit_file import listed, mapping, slug
from chaosrunner.model.quantities import write_duration

GROUP = "litmuschaos.io/"
RUNNER = {
    *("LIB", "LIB_IMAGE", "LIB_IMAGE_PULL_POLICY", "CHAOS_NAMESPACE", "CHAOSENGINE", "CHAOS_SERVICE_ACCOUNT", "RUN_ID"),
    *("CONTAINER_RUNTIME", "SOCKET_PATH", "TC_IMAGE", "STRESS_IMAGE", "STATUS_CHECK_DELAY", "STATUS_CHECK_TIMEOUT"),
    *("DEFAULT_HEALTH_CHECK", "INSTANCE_ID", "TERMINATION_GRACE_PERIOD_SECONDS", "CONTAINER_API_TIMEOUT"),
}
"""Variables about LitmusChaos's own machinery, which mean nothing about what is broken."""


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether it is a resource of LitmusChaos."""
    return str(document.get("apiVersion", "")).startswith(GROUP)


def drafts(documents: Sequence[Mapping[str, Any]], remarks: list[str]) -> list[Draft]:
    """One experiment for each ChaosEngine. Raises `UsageError` where there is none."""
    engines = [each for each in documents if each.get("kind") == "ChaosEngine"]
    if not engines:
        kinds = ", ".join(sorted({str(each.get("kind")) for each in documents}))
        raise UsageError(
            f"expected a ChaosEngine of LitmusChaos, found {kinds}: only the engine says what is hit (put it and its "
            "ChaosExperiments into one file)"
        )
    known = {
        str(mapping(each.get("metadata")).get("name")): mapping(mapping(each.get("spec")).get("definition"))
        for each in documents
        if each.get("kind") == "ChaosExperiment"
    }
    made = [_Engine(each, known, remarks).draft() for each in engines]
    for each in documents:
        if each.get("kind") not in ("ChaosEngine", "ChaosExperiment"):
            made[0].note(made[0].about, f"The document of the kind {each.get('kind')} was left out.")
    return made


class _Engine:
    """One engine on its way."""

    def __init__(self, document: Mapping[str, Any], known: Mapping[str, Said], remarks: list[str]) -> None:
        self._top, self._known = Fields(document), known
        self._metadata = self._top.inside("metadata")
        self._top.take("apiVersion"), self._top.take("kind"), self._top.take("status")
        name = self._metadata.text("name", "converted")
        self._draft = Draft(slug(name, "converted"), f"ChaosEngine {name} of LitmusChaos", remarks)

    def draft(self) -> Draft:
        """Its experiment."""
        spec = self._top.inside("spec")
        target = self._target(spec)
        for experiment in spec.each("experiments"):
            self._experiment(experiment, target)
        if spec.text("engineState", "active") != "active":
            self._draft.note(self._draft.about, "`engineState: stop`: chaosrunner starts a run when you tell it to.")
        for name in ("chaosServiceAccount", "jobCleanUpPolicy", "monitoring", "annotationCheck", "components"):
            if spec.take(name) is not None:
                self._draft.note(self._draft.about, f"`spec.{name}` was left out: it is about LitmusChaos itself.")
        if not spec.text("auxiliaryAppInfo"):
            spec.take("auxiliaryAppInfo")
        else:
            self._draft.note(
                self._draft.about, "`spec.auxiliaryAppInfo` was left out: add a measure for what else must hold."
            )
        self._draft.leftovers(self._draft.about, self._top)
        return self._draft

    def _target(self, spec: Fields) -> Said:
        info, space = spec.inside("appinfo"), self._metadata.text("namespace", "default")
        labels, kind = info.text("applabel"), info.text("appkind")
        space = info.text("appns") or space
        made: Said = {"namespace": self._draft.inside(space)}
        workloads = spec.inside("selectors").each("workloads")
        pods = spec.inside("selectors").each("pods")
        if not labels and workloads:
            return self._workload(workloads, made)
        if not labels and pods:
            names = [each.strip() for each in pods[0].text("names").split(",") if each.strip()]
            return {"namespace": self._draft.inside(pods[0].text("namespace") or space), "names": names}
        if kind:
            self._draft.note(self._draft.about, f"`appkind: {kind}` was left out: the labels say which pods.")
        labels = self._labels(labels.removeprefix("[").removesuffix("]"))
        self._draft.ready = {"namespace": space, "selector": labels}
        return {**made, "selector": labels}

    def _labels(self, text: str) -> str:
        """A selector; several sets of labels with the same key were alternatives."""
        pairs = [each.strip() for each in text.split(",") if each.strip()]
        keys = [each.partition("=")[0] for each in pairs]
        if len(set(keys)) < len(keys) and "(" not in text:
            kept = [each for place, each in enumerate(pairs) if keys[place] not in keys[:place]]
            others = ", ".join(each for each in pairs if each not in kept)
            self._draft.note(self._draft.about, f"A target has one set of labels; left out: {others}.")
            pairs = kept
        if not pairs:
            pairs = ["say=which-pods"]
            self._draft.note(self._draft.about, "No labels say which pods are hit: `say=which-pods` is a stand-in.")
        return ",".join(pairs)

    def _workload(self, workloads: list[Fields], made: Said) -> Said:
        first = workloads[0]
        space = self._draft.inside(first.text("namespace") or str(made["namespace"]))
        names, labels = [each.strip() for each in first.text("names").split(",") if each.strip()], first.text("labels")
        kind = first.text("kind", "deployment").lower()
        if labels:
            self._draft.note(self._draft.about, f"The labels {labels} were of {kind}s; here they are of pods.")
            return {"namespace": space, "selector": labels}
        if len(names) > 1:
            self._draft.note(self._draft.about, f"A target is one workload; left out: {', '.join(names[1:])}.")
        self._draft.ready = {"namespace": space, "workload": f"{kind}/{names[0]}"} if names else {}
        return {"namespace": space, "workload": f"{kind}/{names[0]}"} if names else {**made, "selector": "say=which"}

    def _experiment(self, experiment: Fields, target: Said) -> None:
        name = experiment.text("name")
        spec = experiment.inside("spec")
        components = spec.inside("components")
        given = Given(self._draft, name, self._variables(name, components), target)
        ramp = seconds(given.take("RAMP_TIME"))
        steps = self._steps(name, given)
        rest = [{"wait": write_duration(ramp)}] if ramp else []
        self._draft.method += [*rest, *steps, *rest]
        first = steps[0].get("together", steps)[0]
        for remark in given.remarks:
            self._draft.note(first, remark)
        for variable, value in given.left():
            if variable in RUNNER:
                remark = f"{variable} was left out: it is about LitmusChaos itself"
            else:
                remark = f"{variable} ({value}) has no counterpart here and was left out"
            self._draft.note(first, f"{remark}.")
        for probe in spec.each("probe"):
            litmus_probes.measure(self._draft, probe)
        self._draft.leftovers(first, experiment)

    def _variables(self, name: str, components: Fields) -> Said:
        """The engine's over what the ChaosExperiment says by default."""
        defaults = {str(each.get("name")): each.get("value") for each in listed(self._known.get(name, {}).get("env"))}
        found = {key: value for key, value in defaults.items() if value not in (None, "") and key not in RUNNER}
        for each in components.each("env"):
            key = each.text("name")
            if each.take("valueFrom") is not None:
                text = f"{key} came from another object (`valueFrom`) and was left out: write its value."
                self._draft.note(self._draft.about, text)
                continue
            found[key] = each.take("value")
        return found

    def _steps(self, name: str, given: Given) -> list[Said]:
        if name in FAULTS:
            made = FAULTS[name](given)
            if given.take("SEQUENCE") == "serial":
                given.remarks.append("`SEQUENCE: serial` was left out: all targets of a step are hit at the same time.")
            return made
        lasts = write_duration(given.lasts)
        why = LEFT_OUT.get(name, "chaosrunner has no fault that does the same")
        step = left_out(self._draft, f"The experiment {name}", why, lasts=lasts)
        assert time_of(step) > 0
        return [step]
