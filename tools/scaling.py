#!/usr/bin/env python3
"""What a fleet costs past one instance: a calculation and a small simulation, no network, no cluster. Explained in docs/scaling.md.

  tools/scaling.py [--check]

The constants are what tools/load.py measured (docs/reports/load.md); change them there and here together. The simulation is of the moment that
decides how many systems one gateway may hold: it was away, and all its systems dial again, each with the back-off of docs/protocol.md.
"""
import heapq, random, sys

# Measured on two cores in the profile of `make run`; see docs/reports/load.md.
WRITES_PER_SYSTEM = 10.4         # API writes from nothing to green, a third of a customer included
PLANE_WRITES_PER_SECOND = 900.0  # what one API server takes of these writes over 16 connections: the lower of 936 and 1682
OPERATOR_KB_PER_SYSTEM = 42.0    # half for the session and half for the cached object: the halves are a guess
RECONNECT_CPU_MS = 3.4           # processor time of the operator for one system that comes back: TLS, websocket, sign-in
OBJECT_KB = 5.0                  # an IPOffice with its status and managed fields, as JSON
# Given by the protocol.
OFFLINE_AFTER = 90.0
KEEPALIVE = 30.0
FIRST_RETRY, LONGEST_RETRY = 0.2, 30.0
HANDSHAKE_TIMEOUT = 10.0
PLACES = 1024                    # connections that proved nothing yet, at a time
BACKLOG = 1024                   # further ones the kernel holds; beyond, a dial gets no answer


def reconnect(systems, cores, away, seed=1):
    """All systems lose their gateway at 0; it is back after `away` seconds. Returns the seconds after the loss at which half, 99 % and all are
    back, and how many dials that took for a system.

    The gateway works first come, first served, at cores/RECONNECT_CPU_MS dials a second. A dial that is not served within the time for a handshake
    is given up by the system, but what the gateway had begun of it is spent all the same.
    """
    chance = random.Random(seed)
    rate = cores * 1000.0 / RECONNECT_CPU_MS
    tries = [0] * systems

    def wait(system):
        bound = min(FIRST_RETRY * 2 ** min(tries[system], 31), LONGEST_RETRY)
        tries[system] += 1
        return chance.uniform(0, bound)

    dials = [(wait(system), system) for system in range(systems)]
    heapq.heapify(dials)
    free_at, back, attempts = away, [], 0
    while dials:
        now, system = heapq.heappop(dials)
        attempts += 1
        if now < away:
            # Nobody listens: refused at once.
            heapq.heappush(dials, (now + wait(system), system))
            continue
        start = max(free_at, now)
        queued = (start - now) * rate
        if queued > PLACES + BACKLOG:
            # No answer at all.
            heapq.heappush(dials, (now + HANDSHAKE_TIMEOUT + wait(system), system))
        elif start + 1 / rate - now > HANDSHAKE_TIMEOUT:
            free_at = start + 0.3 / rate
            heapq.heappush(dials, (now + HANDSHAKE_TIMEOUT + wait(system), system))
        else:
            free_at = start + 1 / rate
            back.append(free_at)
    back.sort()
    return back[len(back) // 2], back[int(len(back) * 0.99)], back[-1], attempts / systems


def most_for_a_gateway(cores, away):
    """The most systems, in thousands, of which 99 % are back before they count as offline."""
    most = 0
    for thousands in (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80):
        if reconnect(thousands * 1000, cores, away)[1] >= OFFLINE_AFTER:
            break
        most = thousands
    return most


def plan(systems, shards, servers):
    """One line of the table: what a fleet of that size costs, spread over so many operators and API servers."""
    each = systems / shards
    first = systems * WRITES_PER_SYSTEM / (servers * PLANE_WRITES_PER_SECOND)
    reconnected = reconnect(int(each), 2, 5)
    whole = systems * WRITES_PER_SYSTEM * OBJECT_KB / 1024
    return {
        "systems": systems, "operators": shards, "API servers": servers,
        "writes at rest, 1/s": f"{shards * 0.1:.1f} (Leases)",
        "pings, 1/s": f"{systems / KEEPALIVE:.0f}",
        "all first connects, min": f"{first / 60:.1f}",
        "one operator back: 99 % of its systems after, s": f"{reconnected[1]:.0f}",
        "memory of an operator that caches its own, MB": f"{32 + each * OPERATOR_KB_PER_SYSTEM / 1024:.0f}",
        "memory of an operator that caches all, MB": f"{32 + (each + systems) * OPERATOR_KB_PER_SYSTEM / 2 / 1024:.0f}",
        "objects in an API server, MB": f"{systems * OBJECT_KB / 1024 / servers:.0f}",
        "sent to watches at first connect if all watch all, GB": f"{whole * shards / 1024:.1f}",
        "and if each watches its own, GB": f"{whole / 1024:.1f}",
    }


def table():
    columns = [plan(3000, 1, 1), plan(10_000, 1, 1), plan(10_000, 3, 1), plan(100_000, 1, 1), plan(100_000, 20, 1), plan(100_000, 20, 10)]
    print("| figure |" + " |" * len(columns) + "\n|---|" + "---|" * len(columns))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(str(column[name]) for column in columns) + " |")
    print("\n| a gateway is away for, s | cores | systems of which 99 % are back within 90 s |\n|---|---|---|")
    for away in (2, 30, 60):
        for cores in (1, 2, 4):
            print(f"| {away} | {cores} | {most_for_a_gateway(cores, away)} 000 |")


def check():
    """What must hold of the simulation, whatever the constants."""
    few = reconnect(100, 2, 2)
    assert 2 <= few[0] <= few[1] <= few[2] < 40, few
    # More systems are never sooner, more cores never later.
    assert reconnect(20_000, 1, 5)[1] > reconnect(20_000, 4, 5)[1]
    assert reconnect(20_000, 2, 5)[1] > reconnect(2000, 2, 5)[1]
    # No gateway is sooner than its processor allows.
    assert reconnect(20_000, 1, 5)[2] - 5 >= 20_000 * RECONNECT_CPU_MS / 1000 * 0.99
    # The same seed gives the same figures.
    assert reconnect(3000, 2, 5) == reconnect(3000, 2, 5)
    print("ok")


if __name__ == "__main__":
    check() if "--check" in sys.argv else table()
