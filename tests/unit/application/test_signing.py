"""Signatures: what was signed is accepted, and nothing else."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.application.signing import sign, verify_signature

AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECRET = b"a secret"
BODY = b'{"purpose":"plan"}'


def test_the_header_is_the_hmac_of_time_and_body() -> None:
    seconds = int(AT.timestamp())
    mac = hmac.new(SECRET, f"{seconds}.".encode() + BODY, "sha256").hexdigest()
    assert sign(SECRET, BODY, AT) == f"t={seconds},v1={mac}"


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=200))
def test_what_was_signed_verifies(secret: bytes, body: bytes) -> None:
    assert verify_signature(secret, body, sign(secret, body, AT), now=AT)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_another_body_does_not_verify(body: bytes, other: bytes) -> None:
    assert verify_signature(SECRET, other, sign(SECRET, body, AT), now=AT) == (body == other)


def test_another_secret_does_not_verify() -> None:
    assert not verify_signature(b"another", BODY, sign(SECRET, BODY, AT), now=AT)


def test_a_time_that_was_tampered_with_does_not_verify() -> None:
    later = int(AT.timestamp()) + 1
    mac = sign(SECRET, BODY, AT).partition(",")[2]
    assert not verify_signature(SECRET, BODY, f"t={later},{mac}", now=AT)


@pytest.mark.parametrize(
    ("age_seconds", "valid"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)]
)
def test_a_signature_is_good_for_five_minutes(age_seconds: int, valid: bool) -> None:
    now = AT + timedelta(seconds=age_seconds)
    assert verify_signature(SECRET, BODY, sign(SECRET, BODY, AT), now=now) is valid


def test_the_receiver_may_say_how_old_a_signature_may_be() -> None:
    now = AT + timedelta(seconds=2)
    header = sign(SECRET, BODY, AT)
    assert verify_signature(SECRET, BODY, header, now=now, tolerance_seconds=2)
    assert not verify_signature(SECRET, BODY, header, now=now, tolerance_seconds=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda _: "",
        lambda header: header + "0",
        lambda header: header.upper(),
        lambda header: header.replace("v1", "v0"),
        lambda header: " " + header,
        lambda header: header + "\n",
        lambda header: header.replace("t=", "t=-"),
        lambda header: header.partition(",")[2],
    ],
)
def test_a_header_in_any_other_form_does_not_verify(change: object) -> None:
    assert callable(change)
    assert not verify_signature(SECRET, BODY, change(sign(SECRET, BODY, AT)), now=AT)


def test_an_empty_secret_neither_signs_nor_verifies() -> None:
    with pytest.raises(ValueError, match="empty"):
        sign(b"", BODY, AT)
    seconds = int(AT.timestamp())
    mac = hmac.new(b"", f"{seconds}.".encode() + BODY, "sha256").hexdigest()
    assert not verify_signature(b"", BODY, f"t={seconds},v1={mac}", now=AT)


def test_a_naive_time_is_not_signed() -> None:
    with pytest.raises(ValueError, match="aware"):
        sign(SECRET, BODY, AT.replace(tzinfo=None))
