"""Do the primitives keep their contract? Chains of stages, forks, joins and arbiters, as processes against closed recurrences;
and an arbiter whose grants must not depend on the order in which processes were started.
"""

import itertools

import numpy as np
import pytest
import simpy

from qsim.arch.architecture import ArbiterPolicy, Queue
from qsim.errors import UnsupportedProgram
from qsim.sim import event_streams as slow
from qsim.sim import fast_streams as quick

SEEDS = range(120)


def random_queue(rng: np.random.Generator) -> Queue:
    depth, forward, back = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(0, 4))
    return Queue(depth=depth, forward_latency=forward, return_latency=back)


def produce(env: simpy.Environment, gaps: list[int], link: slow.Link, log: list[int]) -> slow.Process:
    for item, gap in enumerate(gaps):
        yield env.timeout(gap)
        yield link.put(item)
        log.append(slow.now(env))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_of_stages(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stages, items = int(rng.integers(1, 5)), int(rng.integers(0, 12))
    service = rng.integers(1, 8, (stages, items)).tolist()
    links = [random_queue(rng) if rng.random() < 0.7 else None for _ in range(stages - 1)]
    offer = np.cumsum(rng.integers(0, 6, items)).tolist()
    env = simpy.Environment()
    first = slow.Fifo(env, Queue(depth=items + 1, forward_latency=1, return_latency=0))
    between: list[slow.Link] = [first, *(slow.Direct(env) if link is None else slow.Fifo(env, link) for link in links)]
    logs = [slow.StageLog() for _ in range(stages)]
    env.process(produce(env, np.diff(offer, prepend=0).tolist(), first, []))
    for number in range(stages):
        sink = between[number + 1] if number + 1 < stages else None
        env.process(slow.stage(env, between[number], sink, service[number], logs[number]))
    env.run()
    begin, leave = quick.chain([cycle + 1 for cycle in offer], service, links)
    assert begin.tolist() == [log.begin for log in logs]
    assert leave.tolist() == [log.leave for log in logs]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fork(seed: int) -> None:
    rng = np.random.default_rng(seed)
    branches, items = int(rng.integers(1, 5)), int(rng.integers(0, 12))
    gap, service = rng.integers(1, 4, items).tolist(), rng.integers(1, 8, (branches, items)).tolist()
    queue = random_queue(rng)
    env = simpy.Environment()
    queues = [slow.Fifo(env, queue) for _ in range(branches)]
    logs = [slow.StageLog() for _ in range(branches)]
    handed: list[int] = []

    def source() -> slow.Process:
        for item, cycles in enumerate(gap):
            yield env.timeout(cycles)
            yield env.process(slow.fork(item, queues))
            handed.append(slow.now(env))

    env.process(source())
    for number in range(branches):
        env.process(slow.stage(env, queues[number], None, service[number], logs[number]))
    env.run()
    leave, begin = quick.fork(gap, service, queue)
    assert leave.tolist() == handed
    assert begin.tolist() == [log.begin for log in logs]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_join(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources, items = int(rng.integers(1, 5)), int(rng.integers(0, 12))
    gaps, service = rng.integers(1, 9, (sources, items)).tolist(), rng.integers(1, 5, items).tolist()
    queue = random_queue(rng)
    env = simpy.Environment()
    queues = [slow.Fifo(env, queue) for _ in range(sources)]
    handed: list[list[int]] = [[] for _ in range(sources)]
    joined: list[int] = []

    def sink() -> slow.Process:
        for cycles in service:
            yield env.process(slow.join(queues))
            joined.append(slow.now(env))
            yield env.timeout(cycles)

    env.process(sink())
    for number in range(sources):
        env.process(produce(env, gaps[number], queues[number], handed[number]))
    env.run()
    leave, begin = quick.join(gaps, service, queue)
    assert leave.tolist() == handed
    assert begin.tolist() == joined


def arbitrate(
    order: tuple[int, ...], issues: list[list[int]], lengths: list[list[int]], priority: tuple[int, ...] | None
) -> list[tuple[int, int, int]]:
    """Run one process a requester, started in ``order``; return (grant, requester, end) of every service."""
    env = simpy.Environment()
    served: list[tuple[int, int, int]] = []

    def serve(grant: int, request: tuple[int, int]) -> int:
        requester, index = request
        served.append((grant, requester, grant + lengths[requester][index]))
        return served[-1][2]

    arbiter = slow.Arbiter(env, len(issues), priority, serve)

    def ask(requester: int) -> slow.Process:
        for index, cycle in enumerate(issues[requester]):
            yield env.timeout(cycle - slow.now(env))
            arbiter.request(requester, (requester, index))

    for requester in order:
        env.process(ask(requester))
    env.run()
    return served


@pytest.mark.parametrize("priority", [(0, 1, 2), (2, 1, 0), (1, 2, 0), None])
def test_grants_do_not_depend_on_the_order_in_which_processes_start(priority: tuple[int, ...] | None) -> None:
    # Many ties: every requester issues in nearly every cycle and services are short.
    rng = np.random.default_rng(3)
    issues = [sorted(rng.integers(0, 25, 15).tolist()) for _ in range(3)]
    lengths = rng.integers(1, 4, (3, 15)).tolist()
    results = [arbitrate(order, issues, lengths, priority) for order in itertools.permutations(range(3))]
    assert all(result == results[0] for result in results)
    assert len(results[0]) == 45


def test_a_tie_goes_by_priority_and_round_robin_takes_turns() -> None:
    issues, lengths = [[0, 0], [0, 0]], [[5, 5], [7, 7]]
    assert [requester for _, requester, _ in arbitrate((0, 1), issues, lengths, (1, 0))] == [1, 1, 0, 0]
    assert arbitrate((0, 1), issues, lengths, None) == [(1, 0, 6), (6, 1, 13), (13, 0, 18), (18, 1, 25)]


def test_a_request_that_arrives_in_the_cycle_of_the_grant_takes_part_and_one_cycle_later_does_not() -> None:
    lengths = [[5], [10]]
    # The server is free from cycle 11 on; requester 0 has precedence.
    assert arbitrate((1, 0), [[10], [0, 1]], [[5], [10, 9]], (0, 1)) == [(1, 1, 11), (11, 0, 16), (16, 1, 25)]
    assert arbitrate((1, 0), [[11], [0, 1]], [[5], [10, 9]], (0, 1)) == [(1, 1, 11), (11, 1, 20), (20, 0, 25)]
    assert arbitrate((0, 1), [[0], [0]], lengths, (0, 1)) == [(1, 0, 6), (6, 1, 16)]


@pytest.mark.parametrize("policy", list(ArbiterPolicy))
@pytest.mark.parametrize("seed", range(40))
def test_the_arbiter_in_closed_form(policy: ArbiterPolicy, seed: int) -> None:
    rng = np.random.default_rng(seed)
    issues = [sorted(rng.integers(0, 40, int(rng.integers(0, 8))).tolist()) for _ in range(2)]
    lengths = rng.integers(1, 9, (2, 8)).tolist()
    priority = {"activations_first": (0, 1), "weights_first": (1, 0), "round_robin": None}[policy]
    expected = arbitrate((0, 1), issues, lengths, priority)
    found, free, last, done = [], 0, 1, [0, 0]
    while done != [len(issues[0]), len(issues[1])]:
        arrivals = [issues[r][done[r]] + 1 if done[r] < len(issues[r]) else quick.NEVER for r in (0, 1)]
        last, start = quick.grant(arrivals, free, last, policy)
        free = start + lengths[last][done[last]]
        found.append((start, last, free))
        done[last] += 1
    assert found == expected


def test_waiting_for_nobody_is_refused() -> None:
    with pytest.raises(UnsupportedProgram, match="no request will ever arrive"):
        quick.grant([quick.NEVER, quick.NEVER], 0, 0, ArbiterPolicy.ROUND_ROBIN)


def test_a_chain_with_too_few_links_is_refused() -> None:
    with pytest.raises(UnsupportedProgram, match=r"chain.links must be 1 links between 2 stages, not 0"):
        quick.chain([0], [[1], [1]], [])
