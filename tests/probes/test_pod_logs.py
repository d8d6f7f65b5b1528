"""The pod-logs probe: which lines count, and when lines may be missing."""

from __future__ import annotations

import dataclasses

import pytest

from chaosrunner import catalog
from chaosrunner.errors import NoReading, NotPossibleNow
from tests.probes.cluster import FakeCluster, Pod


@pytest.fixture
def cluster():
    made = FakeCluster()
    made.pods_there = [Pod("a"), Pod("b")]
    return made


@pytest.fixture
def logs(probe, context, cluster):
    within = dataclasses.replace(context, platform=cluster)
    return lambda **more: probe("pod-logs", within=within, service="checkout", matches="ERROR|panic:", **more)


async def begun(logs, cluster):
    """A pod that has said something before, and a probe that was opened since."""
    a, _ = cluster.pods_there
    cluster.say(a, "begun")
    errors = logs()
    await errors.open()
    return a, errors


async def test_only_lines_that_match_and_come_after_the_beginning_count(logs, cluster):
    a, b = cluster.pods_there
    cluster.say(a, "ERROR of yesterday")
    errors = logs()
    assert await errors.read() == 0
    cluster.say(a, "all is well", "ERROR one", "ERROR two")
    cluster.say(b, "panic: three")
    assert await errors.read() == 3
    assert await errors.read() == 3
    cluster.say(b, "ERROR four")
    assert await errors.read() == 4


async def test_a_pod_that_comes_later_counts_from_its_first_line(logs, cluster):
    errors = logs()
    await errors.open()
    late = Pod("late")
    cluster.pods_there.append(late)
    cluster.say(late, "ERROR at my start")
    assert await errors.read() == 1
    cluster.pods_there.remove(late)
    assert await errors.read() == 1


async def test_what_was_said_before_a_restart_counts_too(logs, cluster):
    a, _ = cluster.pods_there
    cluster.say(a, "ERROR before the run")
    errors = logs()
    await errors.open()
    cluster.say(a, "panic: it is over")
    cluster.restart(a)
    cluster.say(a, "ERROR after it")
    assert await errors.read() == 2


async def test_several_restarts_between_two_readings_leave_a_hole_that_stays(logs, cluster):
    a, _ = cluster.pods_there
    errors = logs()
    await errors.open()
    cluster.restart(a)
    cluster.restart(a)
    for _ in range(2):
        with pytest.raises(NoReading, match="a/main was restarted 2 times between two readings"):
            await errors.read()


async def test_with_over_a_hole_and_old_lines_pass(logs, cluster, context):
    a, _ = cluster.pods_there
    errors = logs(over="50ms")
    await errors.open()
    cluster.say(a, "ERROR one")
    assert await errors.read() == 1
    cluster.restart(a)
    cluster.restart(a)
    with pytest.raises(NoReading, match="restarted 2 times"):
        await errors.read()
    await context.clock.sleep(0.06)
    assert await errors.read() == 0
    assert type(errors).lag(errors.params) == 0.05


async def test_a_log_before_a_restart_that_is_not_kept_is_a_hole(logs, cluster):
    a, _ = cluster.pods_there
    errors = logs()
    await errors.open()
    cluster.restart(a)
    a.container.previous = None
    with pytest.raises(NoReading, match="the log of a/main before its restart is gone"):
        await errors.read()


async def test_more_than_the_limit_is_no_reading_until_it_has_caught_up(logs, cluster):
    a, _ = cluster.pods_there
    errors = logs(limit="1024B")
    cluster.say(a, "begun")
    await errors.open()
    cluster.say(a, *["ERROR " + "x" * 80] * 15)
    with pytest.raises(NoReading, match="the log of a/main grew by more than 1024 bytes"):
        await errors.read()
    assert await errors.read() == 15


async def test_a_rotated_log_is_a_hole_once_it_is_sure(logs, cluster):
    a, errors = await begun(logs, cluster)
    a.container.log.clear()
    cluster.say(a, "ERROR in the new file")
    for _ in range(4):  # the cluster may say in a moment that the container was restarted
        with pytest.raises(NoReading, match="the log of a/main has begun anew"):
            await errors.read()
    for _ in range(2):
        with pytest.raises(NoReading, match="the log of a/main was rotated"):
            await errors.read()


async def test_a_log_that_begins_anew_just_before_the_restart_is_told_loses_nothing(logs, cluster):
    a, errors = await begun(logs, cluster)
    cluster.say(a, "panic: it is over")
    cluster.restart(a)
    a.container.restarts -= 1  # the node has not told the cluster yet
    cluster.say(a, "ERROR after it")
    with pytest.raises(NoReading, match="begun anew"):
        await errors.read()
    a.container.restarts += 1
    assert await errors.read() == 2


async def test_a_node_that_still_has_the_new_log_for_the_one_before_it_is_asked_again(logs, cluster):
    a, errors = await begun(logs, cluster)
    cluster.say(a, "panic: it is over")
    cluster.restart(a)
    cluster.say(a, "ERROR after it")
    before, a.container.previous = a.container.previous, a.container.log
    with pytest.raises(NoReading, match="begun anew"):
        await errors.read()
    a.container.previous = before
    assert await errors.read() == 2


async def test_a_cluster_that_does_not_answer_is_no_reading(logs, cluster):
    errors = logs()
    await errors.open()
    cluster.down = True
    with pytest.raises(NotPossibleNow, match="it is asleep"):
        await errors.read()


async def test_without_a_cluster_there_is_no_reading(probe):
    with pytest.raises(NoReading, match="no environment says which cluster is meant"):
        await probe("pod-logs", service="checkout", matches="x").read()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"matches": "x"}, "expected one of service, workload or selector"),
        ({"matches": "x", "service": "a", "selector": "app=a"}, "expected one of service"),
        ({"matches": "(", "service": "a"}, "expected a regular expression"),
        ({"matches": "x", "service": "a", "namespace": "n"}, "has its namespace in the environment"),
        ({"matches": "x", "service": "a", "limit": "1B"}, "greater than or equal to"),
    ],
)
def test_what_a_file_may_not_say(params, words):
    with pytest.raises(ValueError, match=words):
        catalog.find("probes", "pod-logs").Params.model_validate(params)
