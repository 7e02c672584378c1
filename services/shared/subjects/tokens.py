"""Which texts are subjects, and how patterns relate to each other (reference: wire protocol 1.8).

A subject is tokens joined by dots, none empty and none with white space. `*` stands for one token, `>` for one or more
at the end; inside a longer token both are ordinary characters. Simple rather than fast, so that it can be read as the
definition.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

FORBIDDEN: Final = frozenset(" \t\n\r\f")


def is_valid_subject(subject: str) -> bool:
    """True for a subject with or without wildcards."""
    tokens = subject.split(".")
    return all(tokens) and ">" not in tokens[:-1] and FORBIDDEN.isdisjoint(subject)


def is_valid_literal_subject(subject: str) -> bool:
    """True for a subject without wildcards: one that may be published to."""
    return is_valid_subject(subject) and not has_wildcard(subject)


def has_wildcard(subject: str) -> bool:
    """True when some token is `*` or `>`."""
    return not {"*", ">"}.isdisjoint(subject.split("."))


def has_full_wildcard(subject: str) -> bool:
    """True when the last token is `>`."""
    return subject.split(".")[-1] == ">"


def wildcard_count(subject: str) -> int:
    """How many tokens are `*`."""
    return subject.split(".").count("*")


def matches(pattern: str, subject: str) -> bool:
    """Does a subscription to `pattern` get what is published to `subject`, whose wildcards are ordinary tokens?"""
    for want, have in zip_longest(pattern.split("."), subject.split(".")):
        if want is None or have is None:
            return False
        if want == ">":
            return True
        if want not in ("*", have):
            return False
    return True


def covers(pattern: str, other: str) -> bool:
    """Does `pattern` match all that `other` matches? Wildcards of `other` keep their meaning."""
    for want, have in zip_longest(pattern.split("."), other.split(".")):
        if want is None or have is None:
            return False
        if want == ">":
            return True
        if want != have and (want != "*" or have in ("", ">")):
            return False
    return True


def overlap(one: str, other: str) -> bool:
    """Is there a subject that both patterns match?"""
    for left, right in zip_longest(one.split("."), other.split(".")):
        if left is None or right is None:
            return False
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return True
