"""What a gate's answer can be written as, by name: one function for each format, imported when it is asked for."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject, json_text
from chaosrunner.model.gate import GateAnswer

FORMATS = ("junit", "sarif", "markdown", "json", "badge", "github", "text")
SCHEMA_ID = "https://chaosrunner.dev/schema/gate-1.json"


def written(answer: GateAnswer, form: str) -> str:
    """The answer in one of `FORMATS`, with a line end."""
    match form:
        case "junit":
            from chaosrunner.reports.junit import junit

            return junit(answer)
        case "sarif":
            from chaosrunner.reports.sarif import gate_sarif

            return json_text(gate_sarif(answer))
        case "markdown":
            from chaosrunner.reports.markdown import markdown

            return markdown(answer)
        case "badge":
            from chaosrunner.reports.badge import badge

            return badge(answer)
        case "github":
            from chaosrunner.reports.annotations import workflow_commands

            return workflow_commands(answer)
        case "text":
            from chaosrunner.reports.gate import text

            return text(answer) + "\n"
    return json_text(answer.as_json())


def schema() -> JsonObject:
    """The JSON Schema of what `json` writes; what is left out is null, or its default."""
    found = GateAnswer.model_json_schema(by_alias=True)
    about: JsonObject = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return (
        about
        | {"title": "The answer of a gate (chaosrunner.gate/1)"}
        | {key: value for key, value in found.items() if key != "title"}
    )
