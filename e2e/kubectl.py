"""kubectl in one cluster and namespace, never in the one that happens to be current."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SECONDS = 120


class Failed(Exception):
    """kubectl or Helm ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """`kubectl("get", "mmp")`; `kubectl.at("other")` is the same in another namespace."""

    program: str
    kubeconfig: Path
    context: str | None = None
    namespace: str = "default"

    def at(self, namespace: str) -> Kubectl:
        return replace(self, namespace=namespace)

    def __call__(
        self,
        *arguments: str,
        input: object = None,  # noqa: A002 - subprocess's own word
        check: bool = True,
        timeout: float = SECONDS,
    ) -> str:
        """What it printed; `input` is given to it as JSON."""
        return said(
            self.command(*arguments),
            None if input is None else json.dumps(input),
            check=check,
            timeout=timeout,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self("apply", "-f", "-", input={"apiVersion": "v1", "kind": "List", "items": objects})

    def command(self, *arguments: str) -> list[str]:
        context = [f"--context={self.context}"] if self.context else []
        which = [f"--kubeconfig={self.kubeconfig}", *context, f"--namespace={self.namespace}"]
        return [self.program, *which, *arguments]


def said(
    command: list[str], text: str | None = None, *, check: bool = True, timeout: float = SECONDS
) -> str:
    """Standard output; with `check`, an end with an error raises what was said about it."""
    done = subprocess.run(
        command,
        input=text or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        env={name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
    )
    if check and done.returncode != 0:
        shown = " ".join(one for one in command[1:] if not one.startswith("--kubeconfig"))
        raise Failed(f"{Path(command[0]).name} {shown}: {done.stderr.strip()}")
    return done.stdout
