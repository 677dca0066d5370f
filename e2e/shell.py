"""A shell in a cluster with Lancemill and S3 in it, for whoever wants to look around."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from e2e import install
from e2e.cache import say
from e2e.providers import providers


def main(command: list[str]) -> int:
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(providers()[os.environ["E2E_PROVIDER"]].running())
        install.lancemill(cluster)
        s3 = stack.enter_context(install.s3(cluster))
        say(f"{cluster.provider}; {cluster.kuberay}; S3 at {s3.endpoint}")
        kubectl = Path(cluster.kubectl.program).parent
        environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubectl.kubeconfig),
            "PATH": f"{kubectl}:{os.environ.get('PATH', os.defpath)}",
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_ENDPOINT_URL": s3.endpoint,
        }
        return subprocess.run(command or ["bash"], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
