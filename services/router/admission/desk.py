"""The desk: carries out what admission decides, on the engine.

Holds newcomers until their CONNECT is settled. The rules in force (`Rules`) are swapped as a whole by a reload.
Deliberately absent: sockets (the engine has them), waiting (bcrypt is handed to `check`), and the rules themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, assert_never

from services.router.admission.connect_trace import redacted
from services.router.admission.decision import decide_admission, decide_without_connect, refuse_for_room
from services.router.admission.directory import Directory, Listener
from services.router.admission.errors import MalformedHello
from services.router.admission.hello import SILENT, Hello, parse_hello
from services.router.admission.info import InfoTemplate
from services.router.admission.verdict import REDACTED, Admitted, CheckPassword, Identity, Refused, Verdict
from services.router.census import Census
from services.router.newcomers import (
    CONNECTION_TYPES,
    DOORS,
    Newcomer,
    about,
    arrived,
    note_prefix,
    open_about,
    recall,
    with_cookies,
)
from services.router.rib.accounts import AccountNumbers
from services.router.rib.imports import AccountImports
from services.router.rib.limits import payload_limit, subscription_limit
from services.router.rib.permits import PermitBook
from services.shared.engine.forwarding import Arrival, Door, Forwarding, Handover, Mappings, OpenRule, Permit
from services.shared.records.record import record, replace
from services.shared.telemetry.log import Logger
from services.shared.wire.close_reasons import CloseReason

CheckLater = Callable[[CheckPassword, Callable[[Verdict], None]], None]
"""Checks a password hash somewhere else and calls back with what follows from it."""


@record
class Rules:
    """Everything that admission goes by; one immutable value per configuration."""

    directory: Directory
    templates: dict[Listener, InfoTemplate]
    ping_interval_ns: dict[Listener, int]
    max_connections: int
    mappings: dict[str, Mappings | None]
    imports: dict[str, AccountImports]
    server_name: str

    def client_info(self, newcomer: Newcomer, admitted: Admitted) -> tuple[bytes, bytes, bytes] | None:
        """What services of other accounts may know about a connection; None where its account shares nothing."""
        imports = self.imports.get(admitted.account.name)
        if imports is None or not imports.shares:
            return None
        from services.router.client_info import client_info  # Only nodes whose imports share pay for it.

        return client_info(newcomer, user=admitted.identity.user_id, server_name=self.server_name)


NOBODY: Final = Handover(
    cid=0,
    account=0,
    permit=None,
    verbose=True,
    pedantic=True,
    echo=True,
    headers=False,
    no_responders=False,
    payload_max=0,
    subs_max=0,
    ping_interval_ns=0,
    first_pong_info=b"",
    about=b"",
    system=False,
    connect_within_ns=0,
)
"""A connection that may do nothing but CONNECT."""

_STRANGERS: Final = {
    listener: Newcomer(
        cid=0, listener=listener, connection_type=CONNECTION_TYPES[listener], ip="", port=0, nonce=b"", started_ns=0
    )
    for listener in DOORS
}


class Desk:
    """Settles CONNECTs."""

    __slots__ = ("_census", "_check", "_engine", "_log", "_newcomers", "_numbers", "_permits", "rules")

    def __init__(
        self, *, engine: Forwarding, rules: Rules, numbers: AccountNumbers, permits: PermitBook[Permit],
        census: Census, log: Logger,
    ) -> None:  # fmt: skip
        self.rules = rules
        self._engine = engine
        self._numbers = numbers
        self._permits = permits
        self._census = census
        self._log = log
        self._check: CheckLater | None = None
        self._newcomers: dict[int, Newcomer] = {}

    def hand_checks_to(self, check: CheckLater) -> None:
        """Has slow password checks done by `check` from now on."""
        self._check = check

    def replace_rules(self, rules: Rules, permits: PermitBook[Permit]) -> None:
        """Another configuration is in force for whoever comes from now on."""
        self.rules = rules
        self._permits = permits

    def door(self, listener: Listener) -> Door:
        """How the engine should treat those who come through a plain listener."""
        rules = self.rules
        return Door(
            number=DOORS.index(listener),
            welcome=self._welcome(_STRANGERS[listener]),
            info=rules.templates[listener].halves(),
            nonce=rules.directory.nonce_required,
        )

    def welcome(self, newcomer: Newcomer) -> Handover:
        """How the engine should hold a connection that was accepted here and has not said anything yet."""
        self._newcomers[newcomer.cid] = newcomer
        return self._welcome(newcomer)

    def _welcome(self, newcomer: Newcomer) -> Handover:
        """Where nothing is asked for a connection may start at once; otherwise it must CONNECT first and in time.

        Those who may come without CONNECT but have to be counted are put before the desk with their first frame.
        """
        verdict = decide_without_connect(facts=newcomer.facts, directory=self.rules.directory)
        admitted = isinstance(verdict, Admitted)
        if isinstance(verdict, Admitted) and verdict.account.max_connections < 0:
            rule = self._open_rule(verdict) if verdict.user is None else None
            return replace(self._handover(newcomer, SILENT, verdict), about=b"", first_pong_info=b"", open_rule=rule)
        policy = self.rules.directory.listeners[newcomer.listener]
        return replace(
            NOBODY,
            cid=newcomer.cid,
            ping_interval_ns=self.rules.ping_interval_ns[newcomer.listener],
            connect_within_ns=policy.auth_timeout_ns or 0,
            silent_ok=admitted,
        )

    def _open_rule(self, anybody: Admitted) -> OpenRule:
        """Where nobody has to say who they are, the engine need not ask about a CONNECT that says nothing of it."""
        account, limits = anybody.account, anybody.limits
        return OpenRule(
            info=self.rules.templates[anybody.listener].connect_info_halves(
                max_payload_bytes=limits.max_payload_bytes, account=account.name, is_system=account.is_system
            ),
            about=open_about(anybody),
            headers=self.rules.directory.headers_supported,
        )

    def newcomer(self, cid: int) -> Newcomer | None:
        """The connection with this client id, if it is known here: not settled yet, or with a certificate."""
        return self._newcomers.get(cid)

    def forget(self, cid: int) -> Newcomer | None:
        """The connection is gone; returns it if it was never settled."""
        return self._newcomers.pop(cid, None)

    def connect(self, cid: int, arguments: bytes, arrival: Arrival | None) -> None:
        """Settles a CONNECT, the first or a later one. `arrival` comes with a first one through a door."""
        newcomer = arrived(cid, arrival) if arrival is not None else self._newcomers.get(cid)
        note: dict[str, Any] | None = None
        if newcomer is None:
            views = self._engine.connections(cid)
            if not views:
                return  # it went away meanwhile
            note = json.loads(views[0].about)
            newcomer = recall(cid, note)
        if not arguments:
            verdict = decide_without_connect(facts=newcomer.facts, directory=self.rules.directory)
            self._settle(newcomer, SILENT, verdict, note)
            return
        if self._log.traces:
            prefix = newcomer.log_prefix if note is None else note_prefix(cid, note)
            self._log.trace(f"{prefix} - <<- [CONNECT {redacted(arguments)}]")
        try:
            hello = with_cookies(parse_hello(arguments, previous=newcomer.hello), newcomer.cookies)
        except MalformedHello as fault:
            self._log.error(f"{newcomer.log_prefix} - {fault}")
            self._engine.close(cid, CloseReason.PROTOCOL_VIOLATION)
            return
        verdict = decide_admission(hello=hello, facts=newcomer.facts, directory=self.rules.directory)
        if isinstance(verdict, CheckPassword):
            self._newcomers[cid] = newcomer
            assert self._check is not None, "CONNECTs are settled while the event loop runs"
            self._check(verdict, lambda settled: self._settle_later(newcomer, hello, settled, note))
        else:
            self._settle(newcomer, hello, verdict, note)

    def _settle_later(self, newcomer: Newcomer, hello: Hello, verdict: Verdict, note: dict[str, Any] | None) -> None:
        """Settles a CONNECT whose password was checked, unless the connection went away meanwhile."""
        if newcomer.cid in self._newcomers:
            self._settle(newcomer, hello, verdict, note)

    def _settle(self, newcomer: Newcomer, hello: Hello, verdict: Verdict, note: dict[str, Any] | None) -> None:
        if isinstance(verdict, Admitted):
            others = self._census.of_account(verdict.account.name)
            if note is not None and note["account"] == verdict.account.name:
                others -= 1
            verdict = refuse_for_room(verdict, connections=others) or verdict
        match verdict:
            case Refused():
                self._refuse(newcomer, hello, verdict)
            case Admitted():
                self._admit(newcomer, hello, verdict, note)
            case CheckPassword():
                raise TypeError("a password check ended in another one")
            case _:
                assert_never(verdict)

    def _refuse(self, newcomer: Newcomer, hello: Hello, refused: Refused) -> None:
        if refused.warning:
            self._log.warn(refused.warning)
        for text in refused.debug_texts:
            self._log.debug(f"{newcomer.log_prefix} - {text}")
        self._log.error(f"{newcomer.log_prefix} - {refused.log_text}")
        # Monitoring shows whom a refused connection claimed to be.
        self._newcomers[newcomer.cid] = replace(
            newcomer, hello=claims_of(hello, refused.identity), proxy_key=refused.proxy_key
        )
        self._engine.close(newcomer.cid, refused.close_reason, refused.err_text)

    def _admit(self, newcomer: Newcomer, hello: Hello, admitted: Admitted, note: dict[str, Any] | None) -> None:
        if admitted.warning:
            self._log.warn(admitted.warning)
        handover = self._handover(newcomer, hello, admitted)
        if note is not None:
            self._census.part(note["account"])
        self._census.join(admitted.account.name)
        if newcomer.certificate is None:
            self._newcomers.pop(newcomer.cid, None)
        else:
            # The certificate cannot be had again for a second CONNECT.
            known = replace(newcomer, hello=without_secrets(hello), proxy_key=admitted.proxy_key)
            self._newcomers[newcomer.cid] = known
        self._engine.readmit(handover)

    def _handover(self, newcomer: Newcomer, hello: Hello, admitted: Admitted) -> Handover:
        rules = self.rules
        account, limits = admitted.account, admitted.limits
        info = b""
        if hello.protocol >= 1:
            info = rules.templates[newcomer.listener].connect_info(
                client_id=newcomer.cid,
                client_ip=newcomer.ip,
                max_payload_bytes=limits.max_payload_bytes,
                account=account.name,
                is_system=account.is_system,
            )
        return Handover(
            cid=newcomer.cid,
            account=self._numbers.number(account.name),
            permit=self._permits.permit(admitted.permissions),
            verbose=hello.verbose,
            pedantic=hello.pedantic,
            echo=hello.echo,
            headers=hello.headers and rules.directory.headers_supported,
            no_responders=hello.no_responders,
            payload_max=payload_limit(limits.max_payload_bytes),
            subs_max=subscription_limit(limits.max_subscriptions),
            ping_interval_ns=rules.ping_interval_ns[newcomer.listener],
            first_pong_info=info,
            about=about(newcomer, hello, admitted),
            system=account.is_system,
            connect_within_ns=None,
            client_info=rules.client_info(replace(newcomer, hello=hello), admitted),
        )


def without_secrets(hello: Hello) -> Hello:
    """A CONNECT as it may be remembered."""
    return replace(hello, password="", auth_token="", jwt="", sig="", proxy_sig="")


def claims_of(hello: Hello, identity: Identity) -> Hello:
    """A refused CONNECT as monitoring may show it: as whom it was judged, and that there was a token, but not which."""
    token = REDACTED if hello.auth_token else ""
    return replace(without_secrets(hello), user=identity.user, nkey=identity.nkey, auth_token=token)
