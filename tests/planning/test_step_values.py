"""What a step says of an earlier step's targets is known when the plan is made, and checked before."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.errors import UsageError
from chaosrunner.model.step_values import put_in, uses
from chaosrunner.model.target import Target
from tests.files.good import WHOLE, problems_of
from tests.planning.test_plan import planned, step

POD = Target(kind="pod", id="pod:a", name="shop/a", service="cart", details={"node": "n1", "pod": "a"})
OTHER = POD.model_copy(update={"name": "shop/b"})
STEPS = {"one": (POD,), "two": (POD, OTHER)}


@pytest.mark.parametrize(
    ("written", "put"),
    [
        ("${steps.one.target}", "shop/a"),
        ("${steps.one.service}", "cart"),
        ("on ${steps.one.node}, ${steps.one.pod}", "on n1, a"),
        ("${steps.two.targets}", ["shop/a", "shop/b"]),
        ("all of ${steps.two.targets}", "all of shop/a, shop/b"),
        (["x", "${steps.two.targets}", "y"], ["x", "shop/a", "shop/b", "y"]),
        ({"n": "${steps.two.count}", "t": "${steps.two.count} of 3"}, {"n": 2, "t": "2 of 3"}),
        ("$${steps.one.node}", "$${steps.one.node}"),
        (["plain", 3, None], ["plain", 3, None]),
    ],
)
def test_a_value_of_a_step_is_put_in(written: object, put: object) -> None:
    assert put_in(written, STEPS) == put  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${steps.two.target}", r"is about one target, and the step two has 2"),
        ("${steps.none.target}", r"names no earlier step; known are one, two"),
        ("${steps.one.ip}", r"the target shop/a of the step one has no ip"),
    ],
)
def test_what_is_not_there_is_refused_in_words(written: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        put_in(written, STEPS)


def test_uses_are_found_in_all_texts() -> None:
    assert list(uses({"a": ["${steps.x.node}"], "b": "${y} ${steps.z.ip}"})) == ["x.node", "z.ip"]


SECOND = """\
    - id: first
      fault: process-kill
      target: {service: payments}
    - {fault: process-pause, target: {service: "USE"}, for: 30s}
"""


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("${steps.first.service}", ""),
        ("${steps.frist.service}", "`${steps.frist.service}` names no earlier step, did you mean 'first'?"),
        ("${steps.first.servce}", "`${steps.first.servce}`: nothing is known by that word, did you mean 'service'?"),
        ("${steps.process-pause.service}", "`${steps.process-pause.service}` names no earlier step"),
    ],
)
def test_check_says_which_step_or_word_there_is_not(use: str, said: str, tmp_path: Path) -> None:
    before, _, after = WHOLE.partition("  method:\n")
    rest = after[after.index("  recovery:") :]
    told = [str(one) for one in problems_of(tmp_path, f"{before}  method:\n{SECOND.replace('USE', use)}{rest}")]
    assert (said in told[0]) if said else not told, told


def test_a_plan_puts_in_what_the_earlier_step_chose() -> None:
    first = step(id="first", take=2)
    plan = planned([first, {**step(), "target": {"service": "${steps.first.count} of ${steps.first.targets}"}}], seed=3)
    chosen = ", ".join(target.name for target in plan.faults[0].targets)
    assert plan.faults[1].selector is not None
    assert plan.faults[1].selector.service == f"2 of {chosen}"
    with pytest.raises(UsageError, match="names no earlier step"):
        planned([{**step(), "target": {"service": "${steps.later.target}"}}])
