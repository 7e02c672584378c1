"""HTTP answers of the monitor: status, headers and form."""

from __future__ import annotations

import json

import pytest

from services.monitor.answers import from_router, unavailable
from services.monitor.endpoints import base_path, clean_path
from services.monitor.pages import root_page


def answer(**message: object) -> bytes:
    return json.dumps({"server": {}, **message}).encode()


def test_data_is_a_page_that_any_site_may_read() -> None:
    page = from_router(answer(data={"a": {"b": 1}}), is_health=False, callback="")
    assert (page.status, page.content_type) == (200, "application/json")
    assert page.headers == {"Access-Control-Allow-Origin": "*"}
    assert page.body == b'{\n  "a": {\n    "b": 1\n  }\n}'


def test_a_refusal_is_plain_text() -> None:
    page = from_router(answer(data=None, error={"code": 500, "description": "why"}), is_health=False, callback="cb")
    assert (page.status, page.body, page.headers) == (400, b"why", {})
    assert page.content_type == "text/plain; charset=utf-8"


def test_an_internal_error_is_not_the_fault_of_the_one_who_asked() -> None:
    page = from_router(b'{"error":{"code":503,"description":"internal error"}}', is_health=False, callback="")
    assert page.status == 503


def test_health_is_compact_and_says_its_status_by_http() -> None:
    page = from_router(answer(data={"status": "error", "status_code": 400, "error": "e"}), is_health=True, callback="")
    assert (page.status, page.body) == (400, b'{"status":"error","error":"e"}')


def test_health_is_json_even_without_a_router() -> None:
    page = unavailable("the router is gone", is_health=True)
    assert (page.status, json.loads(page.body)["status"]) == (503, "unavailable")
    assert unavailable("gone", is_health=False).content_type.startswith("text/plain")


def test_a_callback_gets_the_page_as_a_script() -> None:
    page = from_router(answer(data={}), is_health=False, callback="jQuery1._x[0]")
    assert (page.body, page.content_type) == (b"jQuery1._x[0]({})", "application/javascript")


@pytest.mark.parametrize("callback", ["alert(1)//", "a;b", "<script>", "a b", "1a", "x" * 200])
def test_a_callback_that_is_no_name_is_ignored(callback: str) -> None:
    page = from_router(answer(data={}), is_health=False, callback=callback)
    assert (page.body, page.content_type) == (b"{}", "application/json")


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("/varz", "/varz"), ("//varz", "/varz"), ("/a/../varz", "/varz"), ("/./varz/", "/varz/"), ("/..", "/"), ("", "/")],
)
def test_paths_are_cleaned(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned


@pytest.mark.parametrize(
    ("configured", "base"), [("", ""), ("/", ""), ("mon", "/mon"), ("/mon/", "/mon"), ("a//b", "/a/b")]
)
def test_the_base_path_has_a_slash_in_front_and_none_behind(configured: str, base: str) -> None:
    assert base_path(configured) == base


def test_the_root_page_links_to_the_others_and_trusts_no_name() -> None:
    page = root_page(server_name="<b>", prefix="mon/").decode()
    assert 'href="./mon/varz"' in page and "<b>" not in page and "&lt;b&gt;" in page
