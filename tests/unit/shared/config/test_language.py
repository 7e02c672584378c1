"""What configuration texts parse to; the refusals are in `spec/config/language.txt`."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.shared.config.digest import config_digest
from services.shared.config.errors import ConfigError, ParseError, Position
from services.shared.config.includes import DEPTH_MAX, FILES_MAX
from services.shared.config.lexer import NESTING_MAX
from services.shared.config.options import Options
from services.shared.config.parser import VALUES_MAX, ConfigMap, Data, Date, parse
from services.shared.config.schema import interpret
from tests.kit.config_files import FILE, reader


def _parse(text: str, environ: dict[str, str] | None = None, **files: str) -> ConfigMap:
    included = {name.replace("_", "."): content for name, content in files.items()}
    return parse(text, file=FILE, environ=environ or {}, read_file=reader(included))


def _plain(data: Data) -> object:
    match data:
        case dict():
            return {key: _plain(value.data) for key, value in data.items()}
        case list():
            return [_plain(value.data) for value in data]
        case Date(text=text):
            return f"date {text}"
    return data


def _read(text: str, environ: dict[str, str] | None = None, **files: str) -> object:
    return _plain(_parse(text, environ, **files))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a: b, c = 'd' ; e \"f\"", {"a": "b", "c": "d", "e": "f"}),
        ("a\n\nb", {"a": "b"}),
        ("a {b: 1\n c: 2, d: 3; e: 4}", {"a": {"b": 1, "c": 2, "d": 3, "e": 4}}),
        ("a\n{ b: 1 }", {"a": {"b": 1}}),
        ("a: [1, 'b'\n{c: d}, [true, off]\n]", {"a": [1, "b", {"c": "d"}, [True, False]]}),
        ('{"a": {"b": [1, 2 ]}}', {"a": {"b": [1, 2]}}),
        ("a: 1\na: 2\nb {c: 1}\nb {d: 2}", {"a": 2, "b": {"d": 2}}),
        ("a: nats://h:1/x#y", {"a": "nats://h:1/x#y"}),
        ("a: 10.0.0.1-5, b: 1.2.3.4, c: h:4222", {"a": "10.0.0.1-5", "b": "1.2.3.4", "c": "h:4222"}),
        ("a: 4222abc, b: 5:, c: 1e5", {"a": "4222abc", "b": "5:", "c": "1e5"}),
        ("a: 1.5, b: -2.25, c: -3", {"a": 1.5, "b": -2.25, "c": -3}),
        ("a: 2020-01-31T12:00:00Z", {"a": "date 2020-01-31T12:00:00Z"}),
        ("a: YES, b: Off, c: 'true', d: truex", {"a": True, "b": False, "c": "true", "d": "truex"}),
        ('a: "\\x41\\t\\n\\r\\"\\\\", b: \\x42c', {"a": 'A\t\n\r"\\', "b": "Bc"}),
        ('a: "\\xc3\\xa9", b: "\\xff"', {"a": "é", "b": "\udcff"}),
        ("a: '\\x41\\q'", {"a": "\\x41\\q"}),
        ("a (\nkey\n  text\n)\nb: 1", {"a": "\nkey\n  text\n", "b": 1}),
        ("a: (\r\nx\r\n)\r\nb: 1", {"a": "\r\nx\r\n", "b": 1}),
        ("a\u2003: b\u00a0c", {"a": "b\u00a0c"}),
        ("a: 5 # c\n# d\n// e\nb: 6 // f", {"a": 5, "b": 6}),
        ("a: 1\n}", {"a": 1}),
    ],
)  # fmt: skip
def test_text_means_this_tree_of_values(text: str, meaning: object) -> None:
    assert _read(text) == meaning


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5k", 5_000), ("5KB", 5_120), ("5ki", 5_120), ("5KiB", 5_120), ("64m", 64_000_000), ("64MB", 67_108_864),
        ("1g", 10**9), ("1gib", 2**30), ("2t", 2 * 10**12), ("2tb", 2**41), ("1p", 10**15), ("1Pi", 2**50),
        ("1e", 10**18), ("1EB", 2**60), ("-1k", -1_000), ("9223372036854775807", 2**63 - 1), ("007", 7),
    ],
)  # fmt: skip
def test_suffixes_of_one_letter_count_in_thousands_and_the_others_in_1024(written: str, value: int) -> None:
    assert _read(f"a: {written}") == {"a": value}


@pytest.mark.parametrize("written", ["5kbb", "5kii", "9223372036854775807k", "100000p"])
def test_numbers_that_nats_server_drops_or_wraps_are_refused(written: str) -> None:
    with pytest.raises(ParseError, match=f"integer '{written}' "):
        _parse(f"a: {written}")


class TestVariables:
    def test_the_innermost_definition_wins(self) -> None:
        assert _read("v: 1\na {v: 2, b {c: $v}}\nd: $v") == {"v": 1, "a": {"v": 2, "b": {"c": 2}}, "d": 1}

    def test_a_definition_must_come_before_its_use(self) -> None:
        with pytest.raises(ParseError, match="variable reference for 'v' on line 1 can not be found"):
            _parse("a: $v\nv: 1")

    def test_the_file_wins_over_the_environment(self) -> None:
        assert _read("v: 1\na: $v", {"v": "2"}) == {"v": 1, "a": 1}

    @pytest.mark.parametrize(
        ("value", "meaning"),
        [("4222", 4222), ("yes", True), ("'a b'", "a b"), ("$F", 64_000), ("{b: [1, 2 ]}", {"b": [1, 2]}), ("", "")],
    )
    def test_a_value_from_the_environment_is_read_like_one_in_the_file(self, value: str, meaning: object) -> None:
        assert _read("a: $E", {"E": value, "F": "64k"}) == {"a": meaning}

    def test_whole_blocks_can_be_named(self) -> None:
        assert _read("b: {c: 1}\na: $b\nd: [$b]") == {"b": {"c": 1}, "a": {"c": 1}, "d": [{"c": 1}]}

    def test_quotes_and_braces_keep_a_dollar_literal(self) -> None:
        assert _read("a: '$v', b: \"$v\"") == {"a": "$v", "b": "$v"}

    def test_a_bcrypt_hash_is_no_variable(self) -> None:
        assert _read("a: $2a$11$abc.DEF/ghi") == {"a": "$2a$11$abc.DEF/ghi"}

    def test_a_value_that_names_a_variable_stands_where_it_is_used(self) -> None:
        parsed = _parse("v: [1, 2 ]\n\n  a: $v")
        assert parsed["a"].at == Position(FILE, 3, 3)
        assert parsed["v"].referenced and not parsed["a"].referenced

    def test_values_that_unfold_without_end_are_refused(self) -> None:
        lines = ["v0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1 ]"]
        lines += [f"v{n}: [{', '.join([f'$v{n - 1}'] * 10)}]" for n in range(1, 9)]
        with pytest.raises(ParseError, match=f"more than {VALUES_MAX} values"):
            _parse("\n".join(lines))


class TestIncludes:
    def test_pairs_of_an_include_are_merged_where_it_stands(self) -> None:
        assert _read("a: 1\ninclude x_conf\nb: $v".replace("_", "."), x_conf="a: 2\nv: 3") == {"a": 2, "v": 3, "b": 3}

    def test_an_include_inside_a_map_stays_there(self) -> None:
        assert _read("a { include 'x.conf', c: 2 }", x_conf="b: 1") == {"a": {"b": 1, "c": 2}}

    def test_an_include_does_not_see_the_variables_around_it(self) -> None:
        with pytest.raises(ParseError, match=r"error parsing include file 'x.conf', variable reference for 'v'"):
            _parse("v: 1\ninclude x.conf", x_conf="a: $v")

    def test_an_include_sees_the_environment(self) -> None:
        assert _read("include x.conf", {"E": "5"}, x_conf="a: $E") == {"a": 5}

    def test_values_of_an_include_stand_in_its_file(self) -> None:
        files = {"dir/sub/x.conf": "\n a: 1"}
        parsed = parse(
            "include /sub/x.conf",
            file="dir/main.conf",
            environ={},
            read_file=reader(files),
        )
        assert parsed["a"].at == Position("dir/sub/x.conf", 2, 2)

    def test_nested_includes_are_relative_to_their_own_file(self) -> None:
        files = {"d/x.conf": "include e/y.conf", "d/e/y.conf": "include ../z.conf", "d/z.conf": "a: 1"}
        assert _plain(parse("include d/x.conf", file=FILE, environ={}, read_file=reader(files))) == {"a": 1}

    @pytest.mark.parametrize(
        "files", [{FILE: f"include {FILE}"}, {FILE: "include x.conf", "x.conf": f"include ./{FILE}"}]
    )
    def test_a_cycle_is_refused_and_shown(self, files: dict[str, str]) -> None:
        with pytest.raises(ParseError, match=rf"include cycle: {FILE} -> .*{FILE}$"):
            parse(files[FILE], file=FILE, environ={}, read_file=reader(files))

    def test_one_file_may_be_included_twice(self) -> None:
        assert _read("a {include x.conf}\nb {include x.conf}", x_conf="c: 1") == {"a": {"c": 1}, "b": {"c": 1}}

    def test_depth_is_bounded(self) -> None:
        files = {f"f{n}.conf": f"include f{n + 1}.conf" for n in range(DEPTH_MAX + 1)}
        with pytest.raises(ParseError, match=f"nested deeper than {DEPTH_MAX} files"):
            parse("include f0.conf", file=FILE, environ={}, read_file=reader(files))

    def test_the_number_of_files_is_bounded(self) -> None:
        with pytest.raises(ParseError, match=f"more than {FILES_MAX} files"):
            _parse("include x.conf\n" * (FILES_MAX + 1), x_conf="")


@pytest.mark.parametrize(("opening", "closing"), [("a {", "}"), ("[", "]"), ("{", "}")])
def test_nesting_is_bounded(opening: str, closing: str) -> None:
    prefix = "a: " if opening == "[" else ""
    _parse(f"{prefix}{opening * (NESTING_MAX - 1)}{closing * (NESTING_MAX - 1)}")
    with pytest.raises(ParseError, match=f"Nesting is deeper than {NESTING_MAX} levels"):
        _parse(f"{prefix}{opening * (NESTING_MAX + 1)}")


def test_positions_count_bytes_from_the_start_of_the_line() -> None:
    parsed = _parse("é: 1, a: [x\n é, b ]\n  'c': {d: 1,\n\n  é: 2, e: 3}")
    assert parsed["é"].at == Position(FILE, 1, 0)
    assert parsed["a"].at == Position(FILE, 1, 7)
    elements = parsed["a"].data
    assert isinstance(elements, list)
    assert [element.at[1:] for element in elements] == [(1, 11), (2, 2), (2, 6)]
    assert parsed["c"].at == Position(FILE, 3, 4)
    inner = parsed["c"].data
    assert isinstance(inner, dict)
    assert [value.at[1:] for value in inner.values()] == [(3, 9), (5, 3), (5, 10)]


def test_a_long_line_that_is_not_ascii_is_read_in_linear_time() -> None:
    text = ", ".join(f"k{n}: é" for n in range(50_000))
    assert len(_parse(text)) == 50_000


class TestDigest:
    def test_the_check_value_of_the_reference(self) -> None:
        digest = config_digest(_parse("port: 4222"))
        assert digest == "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e"

    @pytest.mark.parametrize(
        "text", ["port=4222", "port 4222\n", "# c\n\n'port': 4222 // d", '{"port": 4222}', "port: 04222"]
    )
    def test_the_way_of_writing_does_not_count(self, text: str) -> None:
        assert config_digest(_parse(text)) == config_digest(_parse("port: 4222"))

    def test_the_order_of_keys_does_not_count_but_their_case_does(self) -> None:
        assert config_digest(_parse("a: 1, b: 2")) == config_digest(_parse("b: 2, a: 1"))
        assert config_digest(_parse("a: 1")) != config_digest(_parse("A: 1"))

    def test_helper_variables_count(self) -> None:
        assert config_digest(_parse("v: 1, a: $v")) == config_digest(_parse("a: 1, v: 1"))


SNIPPETS = st.lists(
    st.sampled_from(
        ["a", "port", "include", "1", "5k", "1.5", "-2", "2020-01-01T00:00:00Z", "true", "$a", "$E", "'s'", '"q"',
         "(\nx\n)\n", "{", "}", "[", "]", ":", "=", ",", ";", "\n", " ", "#c", "//d", "/", "\\n", "\\x4", "x.conf", "'",
         '"', "\r\n", "(", ")", "é", "\0", "\udcff", "users", "user", "authorization", "accounts", "tls", "websocket"]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@given(st.one_of(st.text(), SNIPPETS))
@example("a: {b: [{c")
@example("a: \\")
@example("include")
def test_any_text_is_read_or_refused(text: str) -> None:
    files = {"x.conf": "port: $E\na: [1, 2 ]"}
    try:
        config = parse(text, file=FILE, environ={"E": "$E", "a": text}, read_file=reader(files))
    except ConfigError:
        return
    assert config_digest(config).startswith("sha256:")
    _, problems = interpret(config, file=FILE, read_file=reader(files), onto=Options())
    found = problems.found()
    assert found is None or str(found).endswith("\n")


@given(st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
))  # fmt: skip
def test_json_is_read_as_it_was_written(value: object) -> None:
    text = f'"v" = {_written(value)}\n'
    try:
        read = _read(text)
    except ParseError as error:
        assert '"' in str(value) or "\0" in text or "NUL" in str(error)  # Keys have no escapes.
        return
    assert read == {"v": value}


def _written(value: object) -> str:
    match value:
        case bool() | int():
            return f"{value} ".lower()
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case dict():
            return f"{{{', '.join(f'{_key(key)} = {_written(inner)}' for key, inner in value.items())}}}"
    raise TypeError(value)


def _key(key: str) -> str:
    return f'"{key}"' if '"' not in key else f"'{key}'"
