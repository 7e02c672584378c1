"""The monitoring port as a web application: paths to handlers. Knows neither sockets nor the loop it runs on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.monitor.answers import Answer, from_router, not_found, refusal, unavailable
from services.monitor.endpoints import ENDPOINTS, HEALTH, ROOT, Endpoint, base_path, clean_path
from services.monitor.link_loop import LinkLostError, LinkTimeoutError
from services.monitor.pages import root_page
from services.monitor.query import QueryError
from services.shared.runtime.role_plan import Identity

ASK_WITHIN_S: Final = 10.0
HTTP_REQUESTS: Final = "http_requests"
"""The option by which the router learns how often each page was asked for."""

Handler = Callable[[Request], Awaitable[Answer]]


class Router(Protocol):
    """What the site needs of the link to the router."""

    async def request(self, subject: str, body: bytes, *, timeout_s: float) -> bytes:
        """The answer to a request. Raises LinkLostError or LinkTimeoutError."""


class _Page:
    """A handler for every method, which Starlette's own functions are not."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._handler(Request(scope, receive))
        response = Response(answer.body, answer.status, headers={**answer.headers, "Content-Type": answer.content_type})
        await response(scope, receive, send)


class Site:
    """The pages of one server. `router` answers; `identity` says whose pages they are."""

    def __init__(self, router: Router, *, identity: Identity, configured_base_path: str) -> None:
        self._router = router
        self._identity = identity
        self._base = base_path(configured_base_path)
        self._requests: Counter[str] = Counter()

    def app(self) -> Starlette:
        """The web application."""
        routes = [Route(self._base or ROOT, _Page(self._root))]
        for endpoint in ENDPOINTS:
            routes.append(Route(self._base + endpoint.path, _Page(self._handler(endpoint))))
        app = Starlette(routes=routes, exception_handlers={404: _missing})
        app.router.redirect_slashes = False
        return app

    async def _root(self, request: Request) -> Answer:
        self._requests[ROOT] += 1
        name = self._identity.server_name or self._identity.server_id
        prefix = f"{self._base.rpartition('/')[2]}/" if self._base else ""
        return Answer(200, root_page(server_name=name, prefix=prefix), "text/html; charset=utf-8")

    def _handler(self, endpoint: Endpoint) -> Handler:
        subject = endpoint.subject.format(id=self._identity.server_id)
        is_health = endpoint.counted == HEALTH

        async def answer(request: Request) -> Answer:
            self._requests[endpoint.counted] += 1
            given: dict[str, str] = {}
            for name, value in request.query_params.multi_items():
                given.setdefault(name, value)  # the first of several counts
            try:
                options = endpoint.read(given)
            except QueryError as error:
                return refusal(str(error))
            body = {name: value for name, value in options.items() if value}
            if endpoint.path == "/varz":
                body[HTTP_REQUESTS] = dict(self._requests)
            try:
                told = await self._router.request(subject, json.dumps(body).encode(), timeout_s=ASK_WITHIN_S)
            except (LinkLostError, LinkTimeoutError) as error:
                return unavailable(str(error), is_health=is_health)
            return from_router(told, is_health=is_health, callback=given.get("callback", ""))

        return answer


async def _missing(request: Request, error: Exception) -> Response:
    path = request.scope["path"]
    cleaned = clean_path(path)
    if cleaned != path:
        query = f"?{request.url.query}" if request.url.query else ""
        return Response(status_code=307, headers={"Location": cleaned + query})
    answer = not_found()
    return Response(answer.body, answer.status, headers={**answer.headers, "Content-Type": answer.content_type})
