"""A process of its own for a user's function: a crash or a stall costs rows, not the worker.

The parent starts `python -m lancemill.ops.udf_child` (never a fork: threads and a GPU's state do
not survive one) and talks to it over a socket pair: a tag of one byte, a length of eight, the
payload. Batches travel as Arrow IPC. The child's output goes where the parent's goes. A pipe that
nothing is written to tells the child when the parent is gone, also in the middle of a call.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

HEADER = struct.Struct("<cQ")
SETUP, BATCH, READY, ERROR, CONTRACT = b"S", b"B", b"R", b"E", b"C"
"""Tags: setup and batch go to the child; ready, batch, error and contract come back."""
_STDERR = 2
"""Where a function's print() goes: standard output is the run's own, and may be JSON."""
_PYTHON = [sys.executable, "-P", "-u", "-X", "faulthandler"]
"""Not the working folder on the path (a file there would hide an installed module), output at
once, and a traceback where native code crashes."""
STOP_S = 2.0
"""How long a child may take to end when asked, before it is killed."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a child needs to know, as JSON travels."""

    entrypoint: str
    base: str
    kind: str
    args: dict[str, Any] = field(default_factory=dict)


class ChildCrashed(Exception):
    """The child ended by itself; the message says how."""


class ChildError(Exception):
    """The function raised; `kind` is the exception's class, `trace` its traceback, `may_pass`
    whether a later attempt may not meet it."""

    def __init__(self, kind: str, message: str, trace: str, may_pass: bool) -> None:
        self.kind = kind
        self.trace = trace
        self.may_pass = may_pass
        super().__init__(message)


class ChildContractError(Exception):
    """The function is not what the manifest declares."""


class Child:
    """A running child. Not for several threads at once; every method may raise ChildCrashed."""

    def __init__(self, setup: Setup, declared: pa.Schema) -> None:
        self._socket, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        descriptors = [theirs.fileno(), lifeline]
        try:
            self._process = subprocess.Popen(
                [*_PYTHON, "-m", "lancemill.ops.udf_child", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        finally:
            theirs.close()
            os.close(lifeline)
        self._setup = setup
        self._declared = declared
        self.rows = 0
        """Rows that it has been given."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def prepare(self, timeout_s: float) -> None:
        """Import and construct; TimeoutError, ChildError or ChildContractError if that fails."""
        deadline = time.monotonic() + timeout_s
        schema = self._declared.serialize().to_pybytes()
        document = json.dumps(asdict(self._setup)).encode()
        self._send(SETUP, struct.pack("<Q", len(document)) + document + schema, deadline)
        self._receive(READY, deadline)

    def call(self, batch: pa.RecordBatch, timeout_s: float | None) -> pa.RecordBatch:
        """The function's columns for `batch`; TimeoutError, ChildError, ChildContractError."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.rows += len(batch)
        self._send(BATCH, to_ipc(batch), deadline)
        return from_ipc(self._receive(BATCH, deadline))

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def stop(self) -> None:
        """Let it end by itself; kill it if it does not."""
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self.kill()

    def _send(self, tag: bytes, payload: bytes | memoryview, deadline: float | None) -> None:
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(HEADER.pack(tag, len(payload)))
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(payload)
        except (ConnectionError, BrokenPipeError) as error:
            raise self._crashed() from error

    def _receive(self, expected: bytes, deadline: float | None) -> memoryview:
        tag, size = HEADER.unpack(self._exactly(HEADER.size, deadline))
        payload = self._exactly(size, deadline)
        if tag == expected:
            return payload
        told = json.loads(bytes(payload))
        if tag == CONTRACT:
            raise ChildContractError(told["message"])
        raise ChildError(told["kind"], told["message"], told["trace"], told["mayPass"])

    def _exactly(self, size: int, deadline: float | None) -> memoryview:
        buffer = memoryview(bytearray(size))
        got = 0
        while got < size:
            self._socket.settimeout(_left(deadline))
            try:
                count = self._socket.recv_into(buffer[got:])
            except ConnectionError:
                count = 0
            if count == 0:
                raise self._crashed()
            got += count
        return buffer

    def _crashed(self) -> ChildCrashed:
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return ChildCrashed("the function's process closed its connection")
        if code < 0:
            name = signal.Signals(-code).name
            memory = ", perhaps out of memory" if -code == signal.SIGKILL else ""
            return ChildCrashed(f"the function's process was ended by {name}{memory}")
        return ChildCrashed(f"the function's process ended with status {code}")


def _left(deadline: float | None) -> float | None:
    """Seconds until `deadline`; TimeoutError when it has passed (0 would mean not to block)."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def to_ipc(batch: pa.RecordBatch) -> memoryview:
    """The batch with its schema as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue())


def from_ipc(payload: memoryview) -> pa.RecordBatch:
    """The batch of a stream that `to_ipc` made, sharing its memory."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        return reader.read_next_batch()
