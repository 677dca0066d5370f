"""The name server that shows played heads to the real KubeRay."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from kube import loops
from kube.resolver import question, reply, resolver

HEAD = "198.18.3.4"
NAME = "job-abcde-head-svc.tenant.svc.cluster.local"
A, AAAA = 1, 28


def address_of(service: str, namespace: str) -> str | None:
    return HEAD if (service, namespace) == ("job-abcde-head-svc", "tenant") else None


def query(name: str, kind: int = A) -> bytes:
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def test_a_question_is_read() -> None:
    assert question(query(NAME, AAAA))[:2] == (NAME, AAAA)


def test_the_head_behind_a_service_is_found() -> None:
    answer = reply(query(NAME), address_of)
    assert answer[:2] == query(NAME)[:2]
    assert answer[3] & 0xF == 0
    assert answer[-4:] == bytes(int(part) for part in HEAD.split("."))


def test_a_head_has_no_address_of_another_kind_but_its_name_exists() -> None:
    answer = reply(query(NAME, AAAA), address_of)
    assert answer[3] & 0xF == 0
    assert struct.unpack_from("!H", answer, 6) == (0,)


@pytest.mark.parametrize("name", ["other-head-svc.tenant.svc.cluster.local", "example.org"])
def test_other_names_do_not_exist(name: str) -> None:
    assert reply(query(name), address_of)[3] & 0xF == 3


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("getent"),
    reason="NOT RUN: a mount of one's own over /etc/resolv.conf takes root, unshare and getent",
)
def test_a_program_with_this_name_server_finds_a_head(tmp_path: Path) -> None:
    async def work() -> str:
        async with resolver(address_of) as server:
            (tmp_path / "resolv.conf").write_text(f"nameserver {server}\n")
            command = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
            process = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "sh", "-c", command, str(tmp_path / "resolv.conf")),
                *("getent", "ahostsv4", NAME),
                stdout=subprocess.PIPE,
            )
            output, _ = await process.communicate()
            return output.decode()

    assert HEAD in loops.run(work())
