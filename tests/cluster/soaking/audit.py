"""Is everything right in a cluster that has healed? Routes, interest, and who hears what, against what clients asked for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import trio

from tests.cluster.soaking.listener import Listener, Subscription, matches
from tests.cluster.soaking.members import ACCOUNTS
from tests.cluster.soaking.world import FENCE, STEADY, SUBJECTS, World

ROUTES_S = 20.0
INTEREST_S = 10.0
LATE_S = 1.0
Interest = set[tuple[str, str, str]]


class AuditFailed(AssertionError):
    """Something is wrong; the text says what."""


async def audit(world: World) -> dict[str, float]:
    """Fails with AuditFailed unless everything is right; returns how long things took, in seconds."""
    begin = time.monotonic()
    await _patiently(lambda: _missing_routes(world), ROUTES_S)
    routes_there = time.monotonic()
    async with world.traffic:
        await _settle_clients(world)
        settled = time.monotonic()
        await _patiently(lambda: _wrong_interest(world), INTEREST_S)
        interest_right = time.monotonic()
        await _fence(world)
        await _check_steady(world)
        await _probe(world)
        if faults := world.ledger.faults():
            raise AuditFailed("\n".join(faults[:20]))
        world.ledger.forget()
        world.steady_from.clear()
        for member in world.members:
            member.disturbed = False
    return {"routes_s": routes_there - begin, "interest_s": interest_right - settled}


async def _patiently(findings: Callable[[], Awaitable[list[str]]], seconds: float) -> None:
    """Waits until there are no findings; fails with the last ones when time is up."""
    deadline = time.monotonic() + seconds
    while found := await findings():
        if time.monotonic() > deadline:
            raise AuditFailed(f"after {seconds} s:\n" + "\n".join(found[:20]))
        await trio.sleep(0.02)


async def _missing_routes(world: World) -> list[str]:
    """Which routes are not as they should be."""
    ids = {member.server_id: member.name for member in world.members}
    found = []
    for member in world.members:
        page = await member.page("/routez")
        there = {row["remote_id"] for row in page["routes"]}
        for server_id in set(ids) - {member.server_id} - there:
            found.append(f"{member.name} has no route to {ids[server_id]}")
        for server_id in there - set(ids):
            found.append(f"{member.name} has a route to {server_id}, which is nobody")
    return found


async def _settle_clients(world: World) -> None:
    for member in world.members:
        for listener in member.listeners:
            await listener.settle()
            if listener.lost.is_set():
                raise AuditFailed(f"{listener.name} lost its connection to a server that serves: {listener.errors}")


async def _wrong_interest(world: World) -> list[str]:
    """What the members believe wrongly of each other's interest."""
    found = []
    for viewer in world.members:
        page = await viewer.page("/routez?subs=detail")
        for owner in world.members:
            if owner is viewer:
                continue
            believed: Interest = set()
            for row in page["routes"]:
                if row["remote_id"] == owner.server_id:
                    believed |= _interest_of_row(row)
            asked = {
                (listener.account, one.subject, one.queue)
                for listener in owner.listeners
                for one in listener.subscriptions.values()
            }
            for what in sorted(asked - believed):
                found.append(f"{viewer.name} does not know that {owner.name} wants {what}")
            for what in sorted(believed - asked):
                found.append(f"{viewer.name} believes that {owner.name} wants {what}")
    return found


def _interest_of_row(row: dict[str, object]) -> Interest:
    """The interest in the accounts of the soak that a row of /routez?subs=detail shows."""
    interest: Interest = set()
    rows = row.get("subscriptions_list_detail") or []
    assert isinstance(rows, list)
    for detail in rows:
        words = str(detail["sid"]).split()
        if words[0] == "R":
            words.pop(0)
        if words[0] in ACCOUNTS:
            interest.add((words[0], detail["subject"], detail.get("qgroup", "")))
    return interest


async def _fence(world: World) -> None:
    """Waits until everything published before, anywhere, has arrived everywhere."""
    fences: dict[str, list[str]] = {account: [] for account in ACCOUNTS}
    for member in world.members:
        for account, prober in member.probers.items():
            message = world.message(account)
            fences[account].append(message)
            await prober.publish(FENCE, message.encode())
    for member in world.members:
        for listener in member.listeners:
            [sid] = [sid for sid, asked in listener.subscriptions.items() if asked.subject == FENCE]
            for message in fences[listener.account]:
                key = (listener.name, sid, message)
                await listener.until(lambda key=key: world.ledger.plain[key] > 0, what=f"{message} at {listener.name}")  # type: ignore[misc]


async def _check_steady(world: World) -> None:
    """Between two servers to which nothing happened, nothing is lost."""
    lost = _lost_steady(world)
    if not lost:
        return
    await trio.sleep(LATE_S)
    later = _lost_steady(world)
    found = [f"{text}; {LATE_S} s later it is {'still not' if text in later else ''} there" for text in lost]
    raise AuditFailed("\n".join(found[:20]))


def _lost_steady(world: World) -> list[str]:
    found = []
    for message, origin in world.steady_from.items():
        if origin.member.disturbed:
            continue
        for member in world.members:
            listener = member.steady[message[0]]
            if not member.disturbed and world.ledger.plain[listener.name, _steady_sid(listener), message] != 1:
                found.append(f"{message} of {origin.client} (+{origin.extra_bytes}) did not come to {listener.name}")
    return found


def _steady_sid(listener: Listener) -> str:
    [sid] = [sid for sid, asked in listener.subscriptions.items() if asked.subject.startswith(STEADY)]
    return sid


async def _probe(world: World) -> None:
    """A request on every subject at every server: heard by whom it should be, or answered with "no responders"."""
    sent: list[tuple[str, str, Listener, str]] = []
    for member in world.members:
        for account, prober in member.probers.items():
            for subject in SUBJECTS:
                message = world.message(account)
                inbox = f"_INBOX.{prober.name}.{message}"
                sent.append((subject, message, prober, inbox))
                await prober.publish(subject, message.encode(), reply=inbox)
    await _settle_clients(world)
    await _fence(world)
    found = []
    for subject, message, prober, inbox in sent:
        found += _wrong_delivery(world, prober.account, subject, message)
        wanted = any(True for _ in _who_wants(world, prober.account, subject))
        if prober.unanswered[inbox] != (0 if wanted else 1):
            told = f"is told {prober.unanswered[inbox]} times that nobody wants {subject}"
            found.append(f"{prober.name} {told}, wanted: {wanted}")
        del prober.unanswered[inbox]
    if found:
        raise AuditFailed("\n".join(found[:20]))


def _wrong_delivery(world: World, account: str, subject: str, message: str) -> list[str]:
    found = []
    queues = set()
    for listener, sid, asked in _who_wants(world, account, subject):
        if asked.queue:
            queues.add(asked.queue)
        elif (count := world.ledger.plain[listener.name, sid, message]) != 1:
            found.append(f"{message} on {subject} came {count} times to {listener.name} by {asked}")
    for queue in queues:
        if (count := world.ledger.shared[account, queue, message]) != 1:
            found.append(f"{message} on {subject} came {count} times to queue group {queue}")
    return found


def _who_wants(world: World, account: str, subject: str) -> list[tuple[Listener, str, Subscription]]:
    return [
        (listener, sid, asked)
        for member in world.members
        for listener in member.listeners
        if listener.account == account
        for sid, asked in listener.subscriptions.items()
        if matches(asked.subject, subject)
    ]
