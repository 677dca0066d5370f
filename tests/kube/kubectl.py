"""kubectl, the one of the same version as the API server, never the one of the machine."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from kube.control_plane import ControlPlane
from kube.credentials import ADMIN


@dataclass(frozen=True)
class Kubectl:
    """`kubectl("get", "mmp", "-o", "wide")`, in a namespace, as a user.

    What `input` is given goes to its standard input, objects as JSON: `kubectl("apply", "-f", "-",
    input=manifest)`. With `check`, an exit code other than 0 raises what kubectl said.
    """

    plane: ControlPlane
    namespace: str = "default"
    user: str = ADMIN
    server: str | None = None  # that of a proxy before the API server

    def __call__(
        self,
        *arguments: str,
        input: str | dict[str, Any] | None = None,  # noqa: A002 - subprocess's own word
        check: bool = True,
        timeout: float = 100,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            input=json.dumps(input) if isinstance(input, dict) else input or "",
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            said = done.stderr.strip()
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.returncode}: {said}")
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json").stdout)

    def command(self, *arguments: str) -> list[str]:
        kubeconfig = self.plane.kubeconfig(self.user, server=self.server, namespace=self.namespace)
        return [
            self.plane.binaries.path("kubectl"),
            f"--kubeconfig={kubeconfig}",
            f"--cache-dir={self.plane.folder / 'kubectl'}",
            *arguments,
        ]

    def environment(self) -> dict[str, str]:
        """No settings of the developer's own, in KUBECONFIG or below HOME."""
        kept = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        return {**kept, "HOME": str(self.plane.folder)}
