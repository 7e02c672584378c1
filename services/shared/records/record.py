"""`record`: what `dataclass(frozen=True, slots=True, kw_only=True)` promises, at a tenth of the price of the import.

Promise: a record has exactly its fields, is built by their names, never changes, is equal to a record of the same class
with equal fields, hashes accordingly, shows its fields, matches class patterns by name, copies and pickles. Checkers see
a dataclass. Every start of a process makes all of its record classes, so making one must be cheap: `dataclasses`
compiles six functions for each (0.3 ms) and loads `inspect`, here all classes share theirs (0.02 ms). Building a record
takes as long as there; comparing, hashing and showing one a tenth to half a microsecond more.

Deliberately absent, since nothing needs it: inheritance of fields, order, `__post_init__`, class variables with an
annotation, mutable records. The signature of a class does not name its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_MISSING: Final[Any] = object()
_FIELDS: Final = "__record_fields__"


class Field:
    """A field: its default, or how to make one, and whether `repr` shows it."""

    __slots__ = ("default", "default_factory", "name", "repr")

    def __init__(self, name: str, default: Any, default_factory: Callable[[], Any] | None, repr: bool) -> None:
        self.name = name
        self.default = default
        self.default_factory = default_factory
        self.repr = repr


def field(*, default: Any = _MISSING, default_factory: Callable[[], Any] | None = None, repr: bool = True) -> Any:
    """The default of a field that is more than a value: made anew for each record, or hidden from `repr`."""
    return Field("", default, default_factory, repr)


@overload
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...
def record(cls: type[T] | None = None, /, *, kw_only: bool = True) -> type[T] | Callable[[type[T]], type[T]]:
    """Makes the class a record of its annotated fields. Without `kw_only` they may be given by position as well."""
    if cls is None:
        return lambda cls: _record(cls, kw_only=kw_only)
    return _record(cls, kw_only=kw_only)


def fields(of: object) -> tuple[Field, ...]:
    """The fields of a record or a class of records, in order. Raises TypeError for anything else."""
    try:
        found: Mapping[str, Field] = getattr(of, _FIELDS)
    except AttributeError:
        raise TypeError(f"{of!r} is no record") from None
    return tuple(found.values())


if TYPE_CHECKING:
    from dataclasses import replace as replace  # a checker knows this one, and holds the changes against the fields
else:

    def replace(of: T, /, **changes: Any) -> T:
        """A record like this one but for the changes. Raises TypeError for what is no field."""
        values = {field.name: getattr(of, field.name) for field in fields(of)}
        return type(of)(**(values | changes))


def _record(cls: type[T], *, kw_only: bool) -> type[T]:
    own = dict(cls.__dict__)
    found = {name: _take_field(own, name) for name in own.get("__annotations__", ())}
    names = tuple(found)
    # Slots can only be given to a class that is being made, so it is made again.
    for name in ("__dict__", "__weakref__"):
        own.pop(name, None)
    own |= {
        _FIELDS: found,
        "__slots__": names,
        "__match_args__": () if kw_only else names,
        "__qualname__": cls.__qualname__,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__reduce__": _reduce,
    }
    own.setdefault("__repr__", _represent)
    made: Any = type(cls)(cls.__name__, cls.__bases__, own)  # type: ignore[misc]  # a class, whatever its metaclass
    made.__init__ = _initializer(made, found, positional=() if kw_only else names)
    if "__eq__" not in cls.__dict__:
        made.__eq__, made.__hash__ = _comparison(names)
    return made  # type: ignore[no-any-return]


def _take_field(own: dict[str, Any], name: str) -> Field:
    given = own.pop(name, _MISSING)
    if isinstance(given, Field):
        given.name = name
        return given
    return Field(name, given, None, True)


# What all classes share.


def _initializer(made: type[Any], found: Mapping[str, Field], *, positional: tuple[str, ...]) -> Callable[..., None]:
    # The descriptors of the slots: the only way past `__setattr__`, and the fastest.
    store = {name: made.__dict__[name].__set__ for name in found}
    defaults = {name: field.default for name, field in found.items() if field.default is not _MISSING}
    size = len(found)

    def __init__(self: object, /, *values: Any, **given: Any) -> None:
        if values:
            given = _with_positional(made, positional, values, given)
        if len(given) != size:
            given = defaults | given
            if len(given) != size:
                given = _completed(made, found, given)
        try:
            for name, value in given.items():
                store[name](self, value)
        except KeyError:
            _completed(made, found, given)  # says which name is not that of a field
            raise

    return __init__


def _with_positional(
    made: type[Any], names: tuple[str, ...], values: tuple[Any, ...], given: dict[str, Any]
) -> dict[str, Any]:
    if len(values) > len(names):
        wanted = f"{len(names) + 1} positional argument{'s' if names else ''}"
        raise TypeError(f"{made.__qualname__}.__init__() takes {wanted} but {len(values) + 1} were given")
    placed = dict(zip(names, values, strict=False))
    for name in placed.keys() & given.keys():
        raise TypeError(f"{made.__qualname__}.__init__() got multiple values for argument {name!r}")
    return placed | given


def _completed(made: type[Any], found: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    for name in given:
        if name not in found:
            raise TypeError(f"{made.__qualname__}.__init__() got an unexpected keyword argument {name!r}")
    complete = {}
    missing = []
    for name, field in found.items():
        if name in given:
            complete[name] = given[name]
        elif field.default is not _MISSING:
            complete[name] = field.default
        elif field.default_factory is not None:
            complete[name] = field.default_factory()
        else:
            missing.append(repr(name))
    if missing:
        raise TypeError(f"{made.__qualname__}.__init__() lacks {_enumerate(missing)}")
    return complete


def _enumerate(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _comparison(names: Iterable[str]) -> tuple[Callable[[Any, object], bool], Callable[[Any], int]]:
    values = _getter(tuple(names))

    def __eq__(self: Any, other: object) -> bool:
        if other.__class__ is self.__class__:
            return values(self) == values(other)
        return NotImplemented

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __eq__, __hash__


def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda of: tuple(getattr(of, name) for name in names)


def _represent(self: object) -> str:
    shown = [f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise AttributeError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise AttributeError(f"cannot delete field {name!r}")


def _reduce(self: object) -> tuple[Callable[..., object], tuple[type[Any], tuple[Any, ...]]]:
    return _restore, (type(self), tuple(getattr(self, field.name) for field in fields(self)))


def _restore(cls: type[T], values: tuple[Any, ...]) -> T:
    restored = object.__new__(cls)
    for field, value in zip(fields(cls), values, strict=True):
        object.__setattr__(restored, field.name, value)
    return restored
