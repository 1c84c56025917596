"""Closed sets of words."""

from __future__ import annotations

from enum import StrEnum


class Vocabulary(StrEnum):
    """A closed set of words, each of which is the text it stands for.

    It hashes like that text, to which it is equal. (An ordinary enumeration hashes its members'
    names, in Python code, and tables of states and purposes are looked into for every event.)
    """

    __hash__ = str.__hash__
