"""Records keep what frozen, slotted, keyword-only dataclasses promise; where a dataclass can say it, it is the measure."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.records.record import field, fields, record, replace


@record
class Point:
    """A record with every kind of field."""

    x: int
    y: int = 0
    secret: str = field(default="", repr=False)
    tags: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.x + self.y


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The same as a dataclass."""

    x: int
    y: int = 0
    secret: str = dataclasses.field(default="", repr=False)
    tags: list[str] = dataclasses.field(default_factory=list)


@record(kw_only=False)
class Pair:
    """A record whose fields may come by position."""

    left: object
    right: object = None


@record
class Alone:
    """A record of one field."""

    value: object


@record
class Nothing:
    """A record without fields."""


@record
class Shy:
    """A record with a `repr` of its own."""

    name: str

    def __repr__(self) -> str:
        return "Shy()"


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.tuples(st.integers(), st.text()))
SOME_FIELDS = st.fixed_dictionaries(
    {"x": st.integers()},
    optional={"y": st.integers(), "secret": st.text(), "tags": st.lists(st.text(), max_size=3)},
)


@given(SOME_FIELDS)
def test_a_record_holds_shows_and_defaults_what_a_dataclass_does(given_fields: dict[str, Any]) -> None:
    ours, theirs = Point(**given_fields), Twin(**given_fields)
    assert [getattr(ours, item.name) for item in fields(ours)] == [
        getattr(theirs, item.name) for item in dataclasses.fields(theirs)
    ]
    assert repr(ours).removeprefix("Point") == repr(theirs).removeprefix("Twin")


@given(SOME_FIELDS, SOME_FIELDS)
def test_records_are_equal_when_dataclasses_are(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert (Point(**left) == Point(**right)) is (Twin(**left) == Twin(**right))
    assert (Point(**left) != Point(**right)) is (Twin(**left) != Twin(**right))
    assert Point(**left) == Point(**left)


@given(VALUES, VALUES)
def test_equal_records_have_equal_hashes(left: object, right: object) -> None:
    assert hash(Pair(left, right)) == hash(Pair(left=left, right=right)) == hash((left, right))
    assert hash(Alone(value=left)) == hash((left,))
    assert {Pair(left, right): 1}[Pair(left, right)] == 1


@given(SOME_FIELDS, SOME_FIELDS)
def test_replacing_fields_does_what_it_does_to_a_dataclass(start: dict[str, Any], changes: dict[str, Any]) -> None:
    ours = replace(Point(**start), **changes)
    theirs = dataclasses.replace(Twin(**start), **changes)
    assert [getattr(ours, name) for name in ("x", "y", "secret", "tags")] == [
        getattr(theirs, name) for name in ("x", "y", "secret", "tags")
    ]


@given(SOME_FIELDS)
def test_copies_and_pickles_are_equal_records(given_fields: dict[str, Any]) -> None:
    original = Point(**given_fields)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(original, protocol)) == original
    deep = copy.deepcopy(original)
    assert copy.copy(original) == deep == original
    assert deep.tags is not original.tags


@pytest.mark.parametrize(
    "wrong",
    [{}, {"y": 1}, {"x": 1, "z": 2}, {"z": 2}, {"x": 1, "X": 1}],
    ids=["nothing", "one missing", "one too many", "another one", "wrong case"],
)
def test_fields_that_are_missing_or_unknown_are_refused_as_in_a_dataclass(wrong: dict[str, Any]) -> None:
    for cls in (Point, Twin):
        with pytest.raises(TypeError):
            cls(**wrong)


def test_a_refusal_names_the_class_and_the_fields() -> None:
    @record
    class Three:
        a: int
        b: int
        c: int

    with pytest.raises(TypeError, match=r"Three\.__init__\(\) lacks 'a', 'b' and 'c'"):
        Three()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Three\.__init__\(\) got an unexpected keyword argument 'd'"):
        Three(a=1, b=2, c=3, d=4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'd'"):
        replace(Three(a=1, b=2, c=3), d=4)  # type: ignore[call-arg]


def test_positions_are_for_records_that_allow_them() -> None:
    assert Pair(1, 2) == Pair(1, right=2) == Pair(left=1, right=2)
    assert Pair(1).right is None
    with pytest.raises(TypeError, match=r"takes 1 positional argument but 2 were given"):
        Point(1)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"takes 3 positional arguments but 4 were given"):
        Pair(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="multiple values for argument 'left'"):
        Pair(1, left=1)  # type: ignore[misc]


def test_nothing_about_a_record_can_be_changed() -> None:
    point = Point(x=1)
    for name in ("x", "new", "total"):
        with pytest.raises(AttributeError):
            setattr(point, name, 2)
        with pytest.raises(AttributeError):
            delattr(point, name)
    assert not hasattr(point, "__dict__")
    assert (point.x, point.total) == (1, 1)


def test_each_record_gets_a_default_of_its_own_from_a_factory() -> None:
    first, second = Point(x=1), Point(x=1)
    first.tags.append("first")
    assert second.tags == []


def test_a_record_is_equal_to_no_other_class() -> None:
    assert Pair(1, 2) != (1, 2)
    assert Alone(value=1) != Point(x=1)
    assert Nothing() == Nothing()
    assert Point(x=1).__eq__(Twin(x=1)) is NotImplemented


def test_a_record_with_a_list_in_it_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))


def test_class_patterns_match_by_name_and_by_allowed_positions() -> None:
    match Point(x=1, y=2):
        case Point(x=1, y=found):
            assert found == 2
        case _:
            pytest.fail("did not match")
    match Pair(1, 2):
        case Pair(1, found):
            assert found == 2
        case _:
            pytest.fail("did not match")
    assert Point.__match_args__ == Twin.__match_args__ == ()


def test_a_record_keeps_its_name_its_docstring_and_its_own_methods() -> None:
    assert (Point.__name__, Point.__qualname__, Point.__module__) == ("Point", "Point", __name__)
    assert Point.__doc__ == "A record with every kind of field."
    assert Point(x=1, y=2).total == 3
    assert repr(Shy(name="a")) == "Shy()"
    assert repr(Nothing()) == "Nothing()"


def test_only_records_have_fields() -> None:
    assert [item.name for item in fields(Point)] == ["x", "y", "secret", "tags"]
    with pytest.raises(TypeError, match="is no record"):
        fields(3)
