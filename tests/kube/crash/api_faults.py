"""Cases in which the operator lives, and one of its calls goes wrong: each kind, in each way.

What takes the real time that it takes in life (a stall, until whoever waits gives up) is waited
for; the case has patience enough, so that no resync does the work of the part under test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kube.calls import WRITES, Call
from kube.crash.matrix import Case, Prepare, Reference
from kube.crash.stage import PATIENCE, Stage
from kube.exchange import Fault
from kube.fault_proxy import Rule
from kube.faults import break_stream, lost_answer, refuse, reset, stall, stall_stream

STALL = 90.0
"""Longer than kopf's 70 s without a word, and its 60 s for a call."""
STALLED: dict[str, Any] = {"request_timeout": 10.0}
Make = Callable[[], Fault]

_ANY: dict[str, Make] = {
    "429": lambda: refuse(429, retry_after=1),
    "500": lambda: refuse(500),
    "504": lambda: refuse(504),
    "reset": reset,
    "stall": lambda: stall(STALL),
}
_OF_A_WRITE: dict[str, Make] = {
    "409": lambda: refuse(409),
    "500, done": lambda: refuse(500, committed=True),
    "504, done": lambda: refuse(504, committed=True),
    "answer lost": lost_answer,
    "stall, done": lambda: stall(STALL, committed=True),
}
_OF_A_WATCH: dict[str, Make] = {
    "410": lambda: refuse(410),
    "ERROR 410": lambda: break_stream(410, after=1),
    "ERROR 500": lambda: break_stream(500, after=1),
    "reset amid": lambda: break_stream(after=1),
    "silent": lambda: stall_stream(STALL, after=1),
}


def api_faults(reference: Reference) -> list[Case]:
    """Each kind of call that the life makes, in each way that is one for it."""
    kinds = dict.fromkeys(kind(call) for call in reference.calls if call.resource)
    return [
        Case(
            reference.life,
            name,
            what,
            _once(what, make),
            STALLED if "stall" in name else {},
            patience=STALL + 30 if name.startswith(("stall", "silent")) else PATIENCE,
        )
        for what in kinds
        for name, make in _ways(what).items()
    ]


def kind(call: Call) -> str:
    """`apply multimodalpipelines/status`."""
    sub = f"/{call.target.subresource}" if call.target.subresource else ""
    return f"{call.verb} {call.resource}{sub}"


def _ways(what: str) -> dict[str, Make]:
    verb = what.partition(" ")[0]
    if verb == "watch":
        return _ANY | _OF_A_WATCH
    return _ANY | (_OF_A_WRITE if verb in WRITES else {})


def _once(what: str, make: Make) -> Prepare:
    def prepare(stage: Stage) -> Sequence[Rule]:
        rule = Rule(lambda call: kind(call) == what, make())
        stage.rules.append(rule)
        return (rule,)

    return prepare
