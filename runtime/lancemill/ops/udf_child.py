"""The process in which a user's function runs apart: started by lancemill.ops.udf_process."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
import traceback
from pathlib import Path

import pyarrow as pa

from lancemill.ops.udf_call import ContractError, Function, call, may_pass, prepare
from lancemill.ops.udf_process import (
    BATCH,
    CONTRACT,
    ERROR,
    HEADER,
    READY,
    from_ipc,
    to_ipc,
)


def main(descriptor: int, lifeline: int) -> None:
    """Serve the parent at the other end of `descriptor` until it closes."""
    # Ctrl-C reaches the whole process group; when to stop is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    parent = socket.socket(fileno=descriptor)
    try:
        function, declared = _prepared(parent, _request(parent))
        while True:
            _answer(parent, function, from_ipc(_request(parent)), declared)
    except (EOFError, ConnectionError):
        return


def _end_with_parent(lifeline: int) -> None:
    """End this process when nobody holds the other end of `lifeline` any more."""
    os.read(lifeline, 1)
    os._exit(1)


def _prepared(parent: socket.socket, request: memoryview) -> tuple[Function, pa.Schema]:
    (size,) = struct.unpack_from("<Q", request)
    setup = json.loads(bytes(request[8 : 8 + size]))
    declared = pa.ipc.read_schema(pa.py_buffer(request[8 + size :]))
    try:
        function = prepare(setup["entrypoint"], Path(setup["base"]), setup["kind"], setup["args"])
    except Exception as error:
        _tell(parent, error)
        raise EOFError from error
    _send(parent, READY, b"")
    return function, declared


def _answer(
    parent: socket.socket, function: Function, batch: pa.RecordBatch, declared: pa.Schema
) -> None:
    try:
        result = to_ipc(call(function, batch, declared))
    except Exception as error:
        _tell(parent, error)
    else:
        _send(parent, BATCH, result)


def _tell(parent: socket.socket, error: Exception) -> None:
    told = {
        "kind": type(error).__name__,
        "message": str(error),
        "trace": "".join(traceback.format_exception(error)),
        "mayPass": may_pass(error),
    }
    tag = CONTRACT if isinstance(error, ContractError) else ERROR
    _send(parent, tag, json.dumps(told).encode())


def _request(parent: socket.socket) -> memoryview:
    _, size = HEADER.unpack(_exactly(parent, HEADER.size))
    return _exactly(parent, size)


def _exactly(parent: socket.socket, size: int) -> memoryview:
    buffer = memoryview(bytearray(size))
    got = 0
    while got < size:
        count = parent.recv_into(buffer[got:])
        if count == 0:
            raise EOFError
        got += count
    return buffer


def _send(parent: socket.socket, tag: bytes, payload: bytes | memoryview) -> None:
    parent.sendall(HEADER.pack(tag, len(payload)))
    parent.sendall(payload)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
