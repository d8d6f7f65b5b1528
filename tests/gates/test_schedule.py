"""Which experiments of a suite may run at the same time: never two that overlap, in order, and within the budget."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chaosrunner.stages.schedule import Job, Radius, Rules, in_order, startable

KEYS = st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=3)
RADII = st.builds(Radius, st.sampled_from(["shop", "bank"]), KEYS, st.sampled_from([False, False, False, True]))
RULES = st.builds(Rules, st.integers(1, 5), st.booleans())


@st.composite
def suites(draw: st.DrawFn) -> list[Job]:
    jobs: list[Job] = []
    for number in range(draw(st.integers(1, 10))):
        earlier = st.frozensets(st.integers(0, number - 1), max_size=2) if number else st.just(frozenset[int]())
        jobs.append(Job(number, draw(RADII), float(draw(st.integers(1, 9))), draw(earlier)))
    # `after` may also name what stands further down, as long as nothing waits for itself.
    names = draw(st.permutations(range(len(jobs))))
    return [Job(names[job.number], job.radius, job.seconds, frozenset(names[it] for it in job.after)) for job in jobs]


def carried_out(jobs: list[Job], rules: Rules) -> list[tuple[float, Job]]:
    """When each starts, if all take as long as expected: (seconds from the beginning, job)."""
    waiting, running, over = in_order(jobs, rules), list[tuple[float, Job]](), set[int]()
    now, found = 0.0, list[tuple[float, Job]]()
    while waiting or running:
        for job in startable(waiting, [each for _, each in running], over, rules):
            waiting.remove(job)
            running.append((now + job.seconds, job))
            found.append((now, job))
        if not running:
            break
        now = min(ends for ends, _ in running)
        over |= {job.number for ends, job in running if ends <= now}
        running = [(ends, job) for ends, job in running if ends > now]
    return found


@given(suites(), RULES)
def test_everything_runs_once_and_nothing_beside_what_it_overlaps_with(jobs: list[Job], rules: Rules) -> None:
    began = {job.number: (at, at + job.seconds, job) for at, job in carried_out(jobs, rules)}
    assert sorted(began) == sorted(job.number for job in jobs)
    for begins, ends, job in began.values():
        beside = [it for b, e, it in began.values() if it is not job and b < ends and begins < e]
        assert not any(job.radius.overlaps(it.radius) for it in beside)
        assert sum(b <= begins < e for b, e, _ in began.values()) <= rules.parallel
        assert all(began[earlier][1] <= begins for earlier in job.after)


@given(suites(), RULES)
def test_of_two_that_overlap_the_earlier_one_starts_first(jobs: list[Job], rules: Rules) -> None:
    free = [Job(job.number, job.radius, job.seconds) for job in jobs]
    began = {job.number: at for at, job in carried_out(free, rules)}
    ordered = in_order(free, rules)
    for place, job in enumerate(ordered):
        for other in ordered[place + 1 :]:
            if job.radius.overlaps(other.radius):
                assert began[job.number] < began[other.number]


@given(suites(), RULES, st.floats(0, 10))
def test_nothing_starts_that_would_not_be_over_in_time(jobs: list[Job], rules: Rules, left: float) -> None:
    everything = frozenset(job.number for job in jobs)
    chosen = startable(in_order(jobs, rules), [], everything, rules, left)
    assert all(job.seconds <= left for job in chosen)
    assert bool(chosen) == any(job.seconds <= left for job in jobs)


def test_one_at_a_time_is_the_order_of_the_file() -> None:
    jobs = [Job(number, Radius("shop", frozenset(str(number))), seconds) for number, seconds in enumerate([1, 9, 5])]
    assert [job.number for _, job in carried_out(jobs, Rules())] == [0, 1, 2]
    assert [job.number for _, job in carried_out(jobs, Rules(longest_first=True))] == [1, 2, 0]


def test_one_that_waits_is_not_overtaken_by_one_in_its_way() -> None:
    running = Job(0, Radius("shop", frozenset("a")), 9)
    first = Job(1, Radius("shop", frozenset("ab")), 1)
    second = Job(2, Radius("shop", frozenset("b")), 1)
    aside = Job(3, Radius("shop", frozenset("c")), 1)
    assert startable([first, second, aside], [running], (), Rules(parallel=4)) == [aside]


def test_a_node_is_in_the_way_of_everything_in_its_environment() -> None:
    node, pod = Radius("shop", frozenset(["node-1"]), wide=True), Radius("shop", frozenset(["cart"]))
    assert node.overlaps(pod) and pod.overlaps(node)
    assert not node.overlaps(Radius("bank", frozenset(["cart"])))


@dataclass
class _Thirty:
    jobs: list[Job]

    @property
    def longest_chain(self) -> float:
        """Of three, one after the other, as 30 on 10 must be."""
        return 3 * max(job.seconds for job in self.jobs)


def test_thirty_that_do_not_overlap_take_no_longer_than_their_longest_chain() -> None:
    thirty = _Thirty([Job(number, Radius("shop", frozenset([f"s{number}"])), 60 + number % 7) for number in range(30)])
    ends = max(at + job.seconds for at, job in carried_out(thirty.jobs, Rules(parallel=10)))
    assert ends <= thirty.longest_chain
