"""The rules about where a row may send a worker."""

from __future__ import annotations

import asyncio

import pytest

from lancemill.ops.addresses import REMEMBER_S, ForbiddenAddressError, Gate, refusal


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "198.18.0.1",
        "203.0.113.7",
        "::",
        "::1",
        "::7f00:1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
    ],
)
def test_an_address_inside_is_refused(address):
    assert refusal(address) is not None


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"],
)
def test_a_public_address_is_let_through(address):
    assert refusal(address) is None


def resolver_of(*answers):
    """A resolver that gives one answer after the other, and how often it was asked."""
    asked = []

    async def resolve(host, port):
        asked.append((host, port))
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def test_of_a_host_with_public_and_private_addresses_only_the_public_are_used():
    resolve, _ = resolver_of(["10.0.0.1", "1.1.1.1", "::1"])
    assert asyncio.run(Gate(resolve=resolve).addresses("mixed.example", 80)) == ("1.1.1.1",)


def test_a_host_with_only_private_addresses_is_refused_and_named():
    resolve, _ = resolver_of(["10.0.0.1"])
    with pytest.raises(ForbiddenAddressError, match=r"db\.internal is 10\.0\.0\.1 \(private\)"):
        asyncio.run(Gate(resolve=resolve).addresses("db.internal", 80))


def test_private_addresses_pass_where_they_are_allowed():
    resolve, _ = resolver_of(["10.0.0.1"])
    gate = Gate(resolve=resolve, allow_private=True)
    assert asyncio.run(gate.addresses("db.internal", 80)) == ("10.0.0.1",)


def test_an_answer_is_remembered_for_a_while_and_judged_anew_after_it():
    resolve, asked = resolver_of(["1.1.1.1"], ["127.0.0.1"])
    now = 0.0
    gate = Gate(resolve=resolve, clock=lambda: now)
    assert asyncio.run(gate.addresses("a.example", 80)) == ("1.1.1.1",)
    now = REMEMBER_S - 1
    assert asyncio.run(gate.addresses("a.example", 80)) == ("1.1.1.1",)
    assert len(asked) == 1
    now = REMEMBER_S + 1
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(gate.addresses("a.example", 80))
