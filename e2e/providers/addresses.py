"""How this process reaches a service: by its name, or through `kubectl port-forward`."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from functools import partial

from e2e.cluster import Reach
from e2e.kubectl import Failed, Kubectl


@contextlib.contextmanager
def by_name(namespace: str, service: str, port: int) -> Iterator[str]:
    """Where names and addresses of services are known on this side too."""
    yield f"http://{service}.{namespace}.svc.cluster.local:{port}"


def forwarding(kubectl: Kubectl) -> Reach:
    return partial(_forwarded, kubectl)


@contextlib.contextmanager
def _forwarded(kubectl: Kubectl, namespace: str, service: str, port: int) -> Iterator[str]:
    """It follows the pod that it has found: where that goes, ask again."""
    command = kubectl.at(namespace).command("port-forward", f"service/{service}", f":{port}")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                raise Failed(f"port-forward to {service}: {process.stderr.read().strip()}")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()
