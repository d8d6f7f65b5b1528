"""Whatever stands in a file, `check` answers with problems at places, never with a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosrunner.stages.load import check
from tests.files.good import WHOLE

LINES = WHOLE.splitlines(keepends=True)
WORDS = sorted(
    {word for line in LINES for word in line.split()} | {"[]", "{}", "null", "7", "-1", ".inf", "'x'", "*a", "&a"}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "30s", "50%", "2x baseline", "checkout-slo", "laptop", "http", "noop", "all", "x" * 200]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "fault", "with", "http", "atMost", "for", "x", "local"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def answer(folder: Path, text: str) -> None:
    (folder / ".git").mkdir(exist_ok=True)
    (folder / "f.yaml").write_bytes(text.encode("utf-8", "replace"))
    lines = text.count("\n") + 2
    for problem in check(["f.yaml"], folder).problems:
        assert problem.file == "f.yaml"
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message
        assert "Input should" not in str(problem)


SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.data())
@SETTINGS
def test_lines_lost_doubled_and_swapped(tmp_path: Path, data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        here, there = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines) - 1))
        what = data.draw(st.sampled_from(["lose", "double", "swap", "indent"]))
        if what == "lose":
            del lines[here]
        elif what == "double":
            lines.insert(there, lines[here])
        elif what == "swap":
            lines[here], lines[there] = lines[there], lines[here]
        else:
            lines[here] = f"  {lines[here]}"
    answer(tmp_path, "".join(lines))


@given(st.data())
@SETTINGS
def test_words_put_for_other_words(tmp_path: Path, data: st.DataObject) -> None:
    words = WHOLE.split(" ")
    for _ in range(data.draw(st.integers(1, 3))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.sampled_from(WORDS))
    answer(tmp_path, " ".join(words))


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in paths(item, (*path, key)))]


DOCUMENTS = list(yaml.safe_load_all(WHOLE))
PATHS = [path for path in paths(DOCUMENTS) if len(path) > 1]


@given(st.sampled_from(PATHS), VALUES)
@settings(SETTINGS, max_examples=120)
def test_any_value_in_any_place(tmp_path: Path, path: tuple[str | int, ...], value: object) -> None:
    documents = json.loads(json.dumps(DOCUMENTS))
    here = documents
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    answer(tmp_path, "\n---\n".join(json.dumps(document, indent=1) for document in documents))


@pytest.mark.parametrize(
    "text", ["[]", "7", "x", "{}", "- a", "kind: Experiment", "kind: [Experiment]", "{kind: Hypothesis, spec: 3}"]
)
def test_what_is_hardly_a_document(text: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(text)
    assert check(["f.yaml"], tmp_path).problems
