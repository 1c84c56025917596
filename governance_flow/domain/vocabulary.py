"""Closed sets of words."""

from __future__ import annotations

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING


class Vocabulary(StrEnum):
    """A closed set of words, each of which is the text it stands for.

    It hashes like that text, to which it is equal. An ordinary enumeration hashes its members'
    names, and tells their values, in Python code; both happen a hundred times for every motion.
    """

    __hash__ = str.__hash__
    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"))
