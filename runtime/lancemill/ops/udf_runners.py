"""Where a user's function runs: in the worker's threads, or in processes of its own."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from lancemill.errors import RunError
from lancemill.ops.entrypoint import EntrypointError
from lancemill.ops.udf_call import ContractError, Function, call, contained, may_pass, prepare
from lancemill.ops.udf_process import (
    Child,
    ChildContractError,
    ChildCrashed,
    ChildError,
    Setup,
)
from lancemill_api.quantities import seconds

T = TypeVar("T")


class BatchFailed(Exception):
    """A batch could not be done; where it is a single row, this is its fault."""

    def __init__(self, reason: str, message: str, trace: str = "", may_pass: bool = True) -> None:
        self.reason = reason
        self.trace = trace
        self.may_pass = may_pass
        super().__init__(message)


class Runner(Protocol):
    """Calls the function somewhere. Raises BatchFailed, or RunError when the run cannot go on."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch: ...

    def close(self) -> None: ...


class InThreads:
    """Calls the function on the calling thread."""

    def __init__(self, spec: Any, declared: pa.Schema, stage: str, base: Path) -> None:
        self._declared = declared
        self._name = f"stage '{stage}': {spec.entrypoint}"
        timeout_s = seconds(spec.setup.timeout)

        def attempt() -> Function:
            return _within(lambda: prepare(spec.entrypoint, base, spec.kind, spec.args), timeout_s)

        self._function = _set_up(attempt, spec, self._name)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            return call(self._function, batch, self._declared)
        except ContractError as error:
            raise RunError(f"{self._name} {error}", final=True) from error
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            message = _message(type(error).__name__, str(error))
            raise BatchFailed("UdfError", message, trace, may_pass(error)) from error

    def close(self) -> None:
        close = getattr(self._function, "close", None)
        if callable(close):
            contained(close)()


class InProcesses:
    """Calls the function in child processes: as many as there are callers at the same time."""

    def __init__(self, spec: Any, declared: pa.Schema, stage: str, base: Path) -> None:
        self._spec = spec
        self._declared = declared
        self._name = f"stage '{stage}': {spec.entrypoint}"
        self._setup = Setup(spec.entrypoint, str(base.resolve()), spec.kind, dict(spec.args))
        self._row_timeout_s = None if spec.row_timeout is None else seconds(spec.row_timeout)
        self._idle: LifoQueue[Child] = LifoQueue()
        self._all: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._idle.put(self._started())

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        child = self._borrowed()
        limit_s = None if self._row_timeout_s is None else self._row_timeout_s * len(batch)
        try:
            result = child.call(batch, limit_s)
        except ChildError as error:
            self._give_back(child)
            message = _message(error.kind, str(error))
            raise BatchFailed("UdfError", message, error.trace, error.may_pass) from error
        except ChildContractError as error:
            self._give_back(child)
            raise RunError(f"{self._name} {error}", final=True) from error
        except TimeoutError as error:
            self._discard(child)
            raise BatchFailed("Timeout", f"took longer than {self._spec.row_timeout}") from error
        except ChildCrashed as error:
            self._discard(child)
            if self._closed:
                raise RunError(f"{self._name} was stopped") from error
            raise BatchFailed("WorkerCrashed", str(error)) from error
        except BaseException:
            self._discard(child)
            raise
        self._give_back(child)
        return result

    def close(self) -> None:
        with self._lock:
            self._closed = True
            children = list(self._all)
            self._all.clear()
        idle = set(_drained(self._idle))
        for child in children:
            if child in idle:
                child.stop()
            else:
                child.kill()

    def _borrowed(self) -> Child:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._started()

    def _started(self) -> Child:
        timeout_s = seconds(self._spec.setup.timeout)

        def attempt() -> Child:
            with self._lock:
                if self._closed:
                    raise RunError(f"{self._name} was stopped")
                child = Child(self._setup, self._declared)
                self._all.add(child)
            try:
                child.prepare(timeout_s)
            except BaseException:
                self._discard(child)
                raise
            return child

        return _set_up(attempt, self._spec, self._name)

    def _give_back(self, child: Child) -> None:
        after = self._spec.restart_after
        if after is None or child.rows < after.rows:
            self._idle.put(child)
        else:
            # Let go at once, and its successor started by whoever next needs one: two processes
            # with a model each may be more than a node or a GPU has room for.
            self._discard(child, Child.stop)

    def _discard(self, child: Child, end: Callable[[Child], None] = Child.kill) -> None:
        with self._lock:
            self._all.discard(child)
        end(child)


def _drained(queue: LifoQueue[Child]) -> list[Child]:
    found = []
    while True:
        try:
            found.append(queue.get_nowait())
        except Empty:
            return found


def _set_up(attempt: Callable[[], T], spec: Any, name: str) -> T:
    """What `attempt` gives, tried as often as the specification allows; RunError at the end."""
    for left in range(spec.setup.attempts - 1, -1, -1):
        try:
            return attempt()
        except RunError:
            raise
        except (ContractError, ChildContractError, EntrypointError) as error:
            raise RunError(f"{name} cannot be used: {error}", final=True) from error
        except Exception as error:
            if left == 0:
                raise _setup_failure(error, spec, name) from error
    raise AssertionError("there is at least one attempt")


def _setup_failure(error: Exception, spec: Any, name: str) -> RunError:
    """Why a function could not be set up; final where the next attempt at the run could not."""
    if isinstance(error, TimeoutError):
        return RunError(f"{name} took longer than {spec.setup.timeout} to set up")
    if isinstance(error, ChildCrashed):
        return RunError(f"{name} failed to set up: {error}")
    if isinstance(error, ChildError):
        told, passes = _message(error.kind, str(error)), error.may_pass
    else:
        told, passes = _message(type(error).__name__, str(error)), may_pass(error)
    return RunError(f"{name} failed to set up: {told}", final=not passes)


def _within(work: Callable[[], Function], timeout_s: float) -> Function:
    """`work` on a thread of its own; TimeoutError when it takes too long (it is left behind)."""
    outcome: list[Function | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="lancemill-udf-setup", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise TimeoutError
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _message(kind: str, text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return f"{kind}: {first}" if first else kind
