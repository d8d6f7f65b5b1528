"""Experiments of Chaos Toolkit that cover its providers, tolerances, strategies, controls, configuration and secrets.

`outcomes.json` says what `chaos run` really made of each (`tools/chaos-toolkit-outcomes` wrote it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]
SECRET = "swordfish-7781"
ENVIRONMENT = {
    "CT_TEXT": "hello",
    "CT_NUMBER": "5",
    "CT_FLOAT": "0.5",
    "CT_BOOL": "true",
    "CT_JSON": '{"a": [1, 2]}',
    "CT_SECRET": SECRET,
    "CT_VAULT_TOKEN": "token-of-vault",
}
"""What every run finds there, beside CT_STATE (an empty folder of its own) and CT_URL (a server)."""


class Case(NamedTuple):
    """One experiment, and how it is run."""

    experiment: Json
    options: Mapping[str, Any] = {}
    """As the worker takes them; `OPTIONS` of the tool has the words that `chaos run` has for them."""
    suffix: str = ".json"
    files: Mapping[str, str] = {}
    """Further files beside it."""
    vault: bool = False
    """Whether Vault's client is installed there."""


def python(func: str, /, _module: str = "ct_extension", **arguments: Any) -> Json:
    return {"type": "python", "module": _module, "func": func, "arguments": arguments}


def process(path: str, *arguments: str, **more: Any) -> Json:
    return {"type": "process", "path": path, "arguments": list(arguments), **more}


def http(path: str, **more: Any) -> Json:
    return {"type": "http", "url": f"${{url}}{path}", "timeout": 3, **more}


def probe(provider: Json, tolerance: Any = None, name: str = "look", **more: Any) -> Json:
    held = {} if tolerance is None else {"tolerance": tolerance}
    return {"type": "probe", "name": name, "provider": provider, **held, **more}


def action(provider: Json, name: str = "act", **more: Any) -> Json:
    return {"type": "action", "name": name, "provider": provider, **more}


PUT, TAKE_AWAY = python("put", file="broken"), python("take_away", file="broken")
IS_WHOLE = probe(python("is_there", file="broken"), False, "is whole")
BREAK, MEND = action(PUT, "break"), action(TAKE_AWAY, "mend")
REST = action(python("rest", seconds=0.35), "rest")
NEVER = action(python("put", file="never"), "never")


def experiment(
    *method: Json, probes: list[Json] | None = None, rollbacks: list[Json] | None = None, **more: Any
) -> Json:
    made: Json = {
        "title": "The system stays whole",
        "description": "One of many",
        "configuration": {"url": {"type": "env", "key": "CT_URL"}, **more.pop("configuration", {})},
        "method": list(method),
        "rollbacks": rollbacks or [],
        **more,
    }
    if probes is not None:
        made["steady-state-hypothesis"] = {"title": "It is whole", "probes": probes}
    return made


def held_against(provider: Json, tolerance: Any) -> Case:
    """An experiment whose hypothesis is this one look."""
    return Case(experiment(probes=[probe(provider, tolerance)]))


def told(value: Any, tolerance: Any) -> Case:
    return held_against(python("give", value=value), tolerance)


CONTINUOUS = {"hypothesis_strategy": "continuously", "frequency": 0.1}
_CONTROL = {"name": "notes", "provider": {"type": "python", "module": "ct_control"}}


def control(module: str) -> list[Json]:
    return [{"name": "one", "provider": {"type": "python", "module": module}}]


_TOLERANCES = {
    "tolerance true met": told(True, True),
    "tolerance true not met": told(False, True),
    "tolerance true met by 1": told(1, True),
    "tolerance false met by 0": told(0, False),
    "tolerance integer met": told(5, 5),
    "tolerance integer not met": told(6, 5),
    "tolerance integer held against a status": told({"status": 5}, 5),
    "tolerance text met": told("up", "up"),
    "tolerance text not met": told("down", "up"),
    "tolerance text with a variable": Case(
        experiment(probes=[probe(python("give", value="hello"), "${greeting}")], configuration={"greeting": "hello"})
    ),
    "tolerance pair is a range": told(250, [200, 299]),
    "tolerance pair not met": told(300, [200, 299]),
    "tolerance pair of statuses is no range": told({"status": 250}, [200, 299]),
    "tolerance list met": told(3, [1, 2, 3]),
    "tolerance list not met": told(4, [1, 2, 3]),
    "tolerance list of texts": told("b", ["a", "b", "c"]),
    "tolerance list without a value crashes": told(None, [1, 2]),
    "tolerance range met": told(1.5, {"type": "range", "range": [1, 2]}),
    "tolerance range not met": told(2.5, {"type": "range", "range": [1, 2]}),
    "tolerance range of a target": told({"n": 3}, {"type": "range", "range": [1, 5], "target": "n"}),
    "tolerance range of text": told("1.5", {"type": "range", "range": [1, 2]}),
    "tolerance range of no number": told("many", {"type": "range", "range": [1, 2]}),
    "tolerance range without a value crashes": told(None, {"type": "range", "range": [1, 2]}),
    "tolerance range of nan crashes": held_against(python("nan"), {"type": "range", "range": [1, 2]}),
    "tolerance range of one bound is invalid": told(1, {"type": "range", "range": [1]}),
    "tolerance regex met": told("all is well", {"type": "regex", "pattern": "is (well|fine)$"}),
    "tolerance regex not met": told("all is lost", {"type": "regex", "pattern": "is (well|fine)$"}),
    "tolerance regex of a target": held_against(
        process("echo", "up 3 days"), {"type": "regex", "pattern": "up [0-9]+", "target": "stdout"}
    ),
    "tolerance regex of no text crashes": told(5, {"type": "regex", "pattern": "5"}),
    "tolerance regex that is none is invalid": told("x", {"type": "regex", "pattern": "("}),
    "tolerance jsonpath found": told({"a": {"b": 1}}, {"type": "jsonpath", "path": "$.a.b"}),
    "tolerance jsonpath not found": told({"a": {}}, {"type": "jsonpath", "path": "$.a.b"}),
    "tolerance jsonpath expects": told({"a": [1, 2]}, {"type": "jsonpath", "path": "$.a[*]", "expect": [1, 2]}),
    "tolerance jsonpath expects another": told({"a": 2}, {"type": "jsonpath", "path": "$.a", "expect": 1}),
    "tolerance jsonpath counts": told({"a": [1, 2, 3]}, {"type": "jsonpath", "path": "$.a[*]", "count": 3}),
    "tolerance jsonpath counts wrongly": told({"a": [1, 2]}, {"type": "jsonpath", "path": "$.a[*]", "count": 3}),
    "tolerance jsonpath of a body": held_against(
        http("/json"), {"type": "jsonpath", "path": "$.ok", "expect": [True], "target": "body"}
    ),
    "tolerance jsonpath of printed json": held_against(
        process("echo", '{"n": 4}'), {"type": "jsonpath", "path": "$.n", "expect": [4], "target": "stdout"}
    ),
    "tolerance probe met": told(3, probe(python("is_positive"), name="judge")),
    "tolerance probe not met": told(-3, probe(python("is_positive"), name="judge")),
    "tolerance probe that fails": told(3, probe(python("breaks"), name="judge")),
    "tolerance of an unknown type is invalid": told(3, {"type": "fuzzy"}),
    "tolerance that is a float is invalid": told(0.5, 0.5),
    "hypothesis probe without a tolerance is invalid": Case(experiment(probes=[probe(python("give", value=1))])),
}
_PROVIDERS = {
    "python action": Case(experiment(action(python("add", a=1)))),
    "python action fails": Case(experiment(action(python("fail")), action(python("add", a=1), "next"))),
    "python module is missing": Case(experiment(action(python("give", "no_such_module")))),
    "python function is missing": Case(experiment(action(python("no_such_function")))),
    "python argument is missing": Case(experiment(action(python("add", b=2)))),
    "python argument is unknown": Case(experiment(action(python("add", a=1, c=3)))),
    "python module of the standard library": Case(experiment(action(python("basename", "os.path", p="/a/b")))),
    "python probe fails": Case(experiment(BREAK, probes=[probe(python("fail"), True)], rollbacks=[MEND])),
    "python function that is async": Case(experiment(action(python("never_awaited")))),
    "process action": Case(experiment(action(process("true")))),
    "process action exits with 3": Case(experiment(action(process("sh", "-c", "exit 3")))),
    "process with one text runs in a shell": Case(
        experiment(action({"type": "process", "path": "sh", "arguments": "-c 'echo $CT_TEXT'"}))
    ),
    "process with a mapping of arguments": Case(
        experiment(action({"type": "process", "path": "echo", "arguments": {"-n": "x", "y": ""}}))
    ),
    "process takes too long": Case(experiment(action(process("sleep", "30", timeout=0.2)))),
    "process program is missing": Case(experiment(action(process("no-such-program-there")))),
    "process probe held against its exit code": held_against(process("false"), 1),
    "http action": Case(experiment(action(http("/ok")))),
    "http action with method, headers and body": Case(
        experiment(action(http("/echo", method="POST", headers={"x-a": "b"}, arguments={"n": "1"})))
    ),
    "http action is answered with 503": Case(experiment(action(http("/503")))),
    "http probe held against its status": held_against(http("/ok"), 200),
    "http probe held against several statuses": held_against(http("/503"), [200, 503]),
    "http probe is answered with 503": held_against(http("/503"), 200),
    "http probe takes too long": held_against(http("/slow", timeout=0.15), 200),
    "http probe is refused": held_against({"type": "http", "url": "http://127.0.0.1:1/", "timeout": 2}, 200),
    "http without a url is invalid": Case(experiment(action({"type": "http"}))),
    "http headers with a secret": Case(
        experiment(
            action(http("/ok", headers={"authorization": "${token}"}, secrets=["web"])),
            secrets={"web": {"token": {"type": "env", "key": "CT_SECRET"}}},
        )
    ),
    "provider of an unknown type": Case(experiment(action({"type": "carrier-pigeon"}))),
}
_METHODS = {
    "nothing to do": Case(experiment()),
    "nothing but a hypothesis": Case(experiment(probes=[IS_WHOLE])),
    "a method is missing": Case({key: value for key, value in experiment().items() if key != "method"}),
    "a title is missing": Case({key: value for key, value in experiment().items() if key != "title"}),
    "an empty tag is invalid": Case(experiment(tags=[""])),
    "an activity without a name is invalid": Case(experiment({"type": "action", "provider": PUT})),
    "broken and mended": Case(experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND])),
    "harmless": Case(experiment(action(python("put", file="other")), probes=[IS_WHOLE], rollbacks=[MEND])),
    "not whole to begin with": Case(
        experiment(BREAK, probes=[probe(python("is_there", file="broken"), True, "is broken")], rollbacks=[MEND])
    ),
    "a ref to another activity": Case(experiment(BREAK, {"ref": "is whole"}, probes=[IS_WHOLE], rollbacks=[MEND])),
    "a ref to nothing is invalid": Case(experiment({"ref": "nobody"})),
    "pauses before and after": Case(experiment({**BREAK, "pauses": {"before": 0.05, "after": 0.05}})),
    "a pause from the configuration": Case(
        experiment({**BREAK, "pauses": {"after": "${wait}"}}, configuration={"wait": 0.05})
    ),
    "in the background": Case(experiment({**REST, "background": True}, action(python("add", a=1), "meanwhile"))),
    "in the background and failing": Case(experiment({**action(python("fail")), "background": True}, REST)),
    "background that is no boolean is invalid": Case(experiment({**REST, "background": "yes"})),
    "a rollback that fails": Case(experiment(BREAK, rollbacks=[action(python("fail"), "mend")])),
    "a rollback in the background": Case(experiment(BREAK, rollbacks=[{**MEND, "background": True}])),
    "a rollback with a ref to nothing": Case(experiment(BREAK, rollbacks=[{"ref": "nobody"}])),
    "a timeout of the activity is ignored": Case(experiment({**REST, "timeout": 0.05})),
    "a result that JSON has no word for": Case(experiment(action(python("not_for_json")))),
    "a control of the library ends the run": Case(
        experiment(action(python("exit_gracefully", "chaoslib.exit")), BREAK, rollbacks=[MEND])
    ),
    "the library ends the run without rollbacks": Case(
        experiment(action(python("exit_ungracefully", "chaoslib.exit")), BREAK, rollbacks=[MEND])
    ),
    "SIGTERM during a Python activity": Case(
        experiment(action(python("send_itself", name="SIGTERM")), BREAK, rollbacks=[MEND])
    ),
    "SIGINT during a Python activity": Case(
        experiment(action(python("send_itself", name="SIGINT")), BREAK, rollbacks=[MEND])
    ),
    "YAML": Case(experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND]), suffix=".yaml"),
    "YAML with another ending": Case(experiment(BREAK, probes=[IS_WHOLE]), suffix=".yml"),
}
_STRATEGIES = {
    **{
        f"hypothesis {strategy}": Case(
            experiment(BREAK, REST, probes=[IS_WHOLE], rollbacks=[MEND]),
            {"hypothesis_strategy": strategy, "frequency": 0.1},
        )
        for strategy in ("default", "before-method-only", "after-method-only", "during-method-only", "continuously")
    },
    "hypothesis strategy of the file": Case(
        experiment(BREAK, probes=[IS_WHOLE], runtime={"hypothesis": {"strategy": "before-method-only"}})
    ),
    "the command's strategy counts before the file's": Case(
        experiment(BREAK, probes=[IS_WHOLE], runtime={"hypothesis": {"strategy": "before-method-only"}}),
        {"hypothesis_strategy": "after-method-only"},
    ),
    "hypothesis skipped by the file": Case(
        experiment(BREAK, probes=[IS_WHOLE], runtime={"hypothesis": {"strategy": "skip"}})
    ),
    "a strategy that there is not": Case(
        experiment(BREAK, probes=[IS_WHOLE], runtime={"hypothesis": {"strategy": "continuous"}})
    ),
    "deviates only during the method": Case(
        experiment(BREAK, REST, action(TAKE_AWAY, "mend early"), probes=[IS_WHOLE]), CONTINUOUS
    ),
    **{
        f"fail fast with rollbacks {strategy}": Case(
            # Whether a look comes before or after a step's end is chance, so the step waits for it.
            experiment({**BREAK, "pauses": {"after": 0.5}}, NEVER, probes=[IS_WHOLE], rollbacks=[MEND]),
            {**CONTINUOUS, "fail_fast": True, "rollbacks_strategy": strategy},
        )
        for strategy in ("default", "always", "deviated")
    },
    "fail fast, and whole again by itself": Case(
        experiment(
            {**action(python("take_away", file="broken", after=0.5), "heals"), "background": True},
            {**BREAK, "pauses": {"after": 0.8}},
            NEVER,
            probes=[IS_WHOLE],
            rollbacks=[MEND],
        ),
        {**CONTINUOUS, "fail_fast": True},
    ),
    **{
        f"rollbacks {strategy}, {word}": Case(
            experiment(BREAK if deviates else REST, probes=[IS_WHOLE], rollbacks=[MEND]),
            {"rollbacks_strategy": strategy},
        )
        for strategy in ("default", "always", "never", "deviated")
        for word, deviates in (("deviating", True), ("holding", False))
    },
    "rollbacks strategy of the file": Case(
        experiment(BREAK, rollbacks=[MEND], runtime={"rollbacks": {"strategy": "never"}})
    ),
    "rollbacks default after a probe that fails": Case(
        experiment(BREAK, probes=[IS_WHOLE, probe(python("fail"), True, "fails")], rollbacks=[MEND]),
        {"hypothesis_strategy": "after-method-only"},
    ),
    "rollbacks always after SIGINT": Case(
        experiment(action(python("send_itself", name="SIGINT")), rollbacks=[MEND]), {"rollbacks_strategy": "always"}
    ),
    **{
        f"dry {what}": Case(experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND]), {"dry": what})
        for what in ("probes", "actions", "activities", "pause")
    },
}
_CONTROLS = {
    "control of the experiment": Case(
        experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND], controls=[_CONTROL])
    ),
    "control of an activity": Case(experiment({**BREAK, "controls": [_CONTROL]})),
    "control of the hypothesis": Case(experiment(probes=[{**IS_WHOLE, "controls": [_CONTROL]}])),
    "control that interrupts": Case(
        experiment(BREAK, action(PUT, "never begun"), rollbacks=[MEND], controls=control("ct_interrupting"))
    ),
    "control that fails": Case(experiment(BREAK, controls=control("ct_failing"))),
    "control whose cleanup fails": Case(experiment(BREAK, controls=control("ct_losing"))),
    "control that is missing": Case(experiment(BREAK, controls=control("no_such_control"))),
    "control from a file": Case(
        experiment(BREAK),
        {"control_file": ["controls.yaml"]},
        files={"controls.yaml": "notes:\n  provider: {type: python, module: ct_control}\n"},
    ),
    "control of the settings": Case(
        experiment(BREAK),
        {"settings": "settings.yaml"},
        files={"settings.yaml": "controls:\n  notes:\n    provider: {type: python, module: ct_control}\n"},
    ),
    "rollbacks strategy of the settings": Case(
        experiment(BREAK, rollbacks=[MEND]),
        {"settings": "settings.yaml"},
        files={"settings.yaml": "runtime:\n  rollbacks:\n    strategy: never\n"},
    ),
}  # fmt: skip


def given(configuration: Json, expected: Any, **more: Any) -> Case:
    """What a function is given of the configuration, as `value`."""
    made = experiment(
        probes=[probe(python("configured", name="value"), expected)], configuration={"value": configuration}
    )
    return Case(made, **more)


def env(key: str, **more: Any) -> Json:
    return {"type": "env", "key": key, **more}


_CONFIGURATION = {
    "configuration in the file": Case(
        experiment(probes=[probe(python("give", value="${a}"), 7)], configuration={"a": 7})
    ),
    "configuration from the environment": given(env("CT_TEXT"), "hello"),
    "configuration from the environment as a number": given(env("CT_NUMBER", env_var_type="int"), 5),
    "configuration from the environment as a float": given(
        env("CT_FLOAT", env_var_type="float"), {"type": "range", "range": [0.4, 0.6]}
    ),
    "configuration from the environment as true or false": given(env("CT_BOOL", env_var_type="bool"), True),
    "configuration from the environment as JSON": given(
        env("CT_JSON", env_var_type="json"), {"type": "jsonpath", "path": "$.a[*]", "count": 2}
    ),
    "configuration from the environment as an unknown type": given(env("CT_TEXT", env_var_type="verse"), "hello"),
    "configuration with a default": given(env("CT_NOT_THERE", default="else"), "else"),
    "configuration that is not there": given(env("CT_NOT_THERE"), "x"),
    "configuration of a variable": given(env("CT_TEXT"), "other", options={"var": ["value=other"]}),
    "configuration of a variable with a type": given(env("CT_TEXT"), 9, options={"var": ["value:int=9"]}),
    "configuration from a file of variables": given(
        env("CT_TEXT"),
        "from a file",
        options={"var_file": ["vars.json"]},
        files={"vars.json": '{"configuration": {"value": "from a file"}}'},
    ),
    "configuration from a YAML file of variables": given(
        env("CT_TEXT"),
        "from a file",
        options={"var_file": ["vars.yaml"]},
        files={"vars.yaml": "configuration:\n  value: from a file\n"},
    ),
    "configuration from a .env file": given(
        env("CT_FROM_DOTENV", default="no"),
        "dotted",
        options={"var_file": ["more.env"]},
        files={"more.env": "CT_FROM_DOTENV=dotted\n"},
    ),
    "dynamic configuration of a function": given(probe(python("add", a=2, b=3)), 5),
    "dynamic configuration of a process": given(probe(process("echo", "printed")), "printed"),
    "dynamic configuration of a request": given(probe(http("/ok")), "ok"),
    "dynamic configuration that fails": given(probe(python("fail")), "x"),
    "a variable that nobody names": Case(experiment(probes=[probe(python("give", value="${nobody}"), "${nobody}")])),
    "a variable within text": Case(
        experiment(probes=[probe(python("give", value="<${a}>"), "<7>")], configuration={"a": 7})
    ),
}


def kept(secret: Json | str, expected: Any, **more: Any) -> Case:
    """What a function is given of the secrets, as `value`."""
    made = experiment(
        probes=[probe({**python("secret_of", name="value"), "secrets": ["vault"]}, expected)],
        secrets={"vault": {"value": secret}},
    )
    return Case(made, **more)


def of_vault(expected: Any, configuration: Json | None = None, path: str | None = "a/b", **more: str) -> Case:
    """The same of a Vault, which is asked with its own client."""
    secret = {"type": "vault", **({"path": path} if path is not None else {}), **more}
    made = kept(secret, expected, vault=True)
    there = {"vault_addr": env("CT_URL"), "vault_token": env("CT_VAULT_TOKEN")}
    made.experiment["configuration"] |= {**there, **(configuration or {})}
    return made


_SECRETS = {
    "secret in the file": kept("inline-secret", "inline-secret"),
    "secret from the environment": kept(env("CT_SECRET"), SECRET),
    "secret that is not there": kept(env("CT_NO_SECRET"), "x"),
    "secret from a file of variables": kept(
        env("CT_SECRET"),
        "filed",
        options={"var_file": ["vars.json"]},
        files={"vars.json": '{"secrets": {"vault": {"value": "filed"}}}'},
    ),
    "secret of Vault without its client": kept(
        {"type": "vault", "path": "a/b", "key": "c"}, {"type": "range", "range": [0, 1]}
    ),
    "secret of Vault": of_vault("from-vault", key="c"),
    "secret of Vault, all that is at its path": of_vault(
        {"type": "jsonpath", "path": "$.d", "expect": "also-from-vault"}
    ),
    "secret of Vault in the first version of its store": of_vault("from-vault", {"vault_kv_version": "1"}, key="c"),
    "secret of Vault in another store": of_vault("from-vault", {"vault_secrets_mount_point": "team/kv"}, key="c"),
    "secret of Vault with a token that it does not know": of_vault("from-vault", {"vault_token": "x"}, key="c"),
    "secret of Vault at a path where nothing is": of_vault("from-vault", path="a/none", key="c"),
    "secret of Vault under a key that is not there": of_vault("from-vault", key="none"),
    "secret of Vault without a path": of_vault("from-vault", path=None, key="c"),
    "secret of Vault where nobody answers": of_vault("from-vault", {"vault_addr": "http://127.0.0.1:1"}, key="c"),
    "secret in an argument": Case(
        experiment(
            probes=[probe(python("give", value="${value}"), SECRET)], secrets={"vault": {"value": env("CT_SECRET")}}
        )
    ),
    "secret that a function is not given": Case(
        experiment(
            probes=[probe(python("secret_of", name="value"), True)], secrets={"vault": {"value": env("CT_SECRET")}}
        )
    ),
}  # fmt: skip
CASES: dict[str, Case] = {
    **_TOLERANCES,
    **_PROVIDERS,
    **_METHODS,
    **_STRATEGIES,
    **_CONTROLS,
    **_CONFIGURATION,
    **_SECRETS,
}
