"""What is built for tests: which Go modules, which programs, at which versions.

The versions themselves are in each tool's go.mod, and nowhere else. Those of kstatus, helm3 and
helm4 name the same version of each module that they share, so that it is compiled once: helm 3
takes 8 s after helm 4 instead of 86.
"""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Unavailable(Exception):
    """Said to the user in one line."""


@dataclass(frozen=True)
class Tool:
    """One Go module of ours, the package in it to build, and the names its binary is called by."""

    name: str
    title: str
    package: str
    programs: tuple[str, ...]
    pinned: str  # the module whose version, in go.mod, is the tool's
    stamps: tuple[str, ...]  # linker variables, {…} filled in by linker_flags


_KUBERNETES_STAMPS = (
    "gitVersion={version}",
    "gitMajor={major}",
    "gitMinor={minor}",
    "gitTreeState=clean",
    "gitCommit=" + "0" * 40,
    "buildDate=1970-01-01T00:00:00Z",
)

TOOLS = (
    Tool(
        "kubernetes",
        "Kubernetes",
        ".",
        (
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        ),
        "k8s.io/kubernetes",
        tuple(
            f"{package}.{stamp}"
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for stamp in _KUBERNETES_STAMPS
        ),
    ),
    Tool("kstatus", "kstatus", ".", ("kstatus",), "github.com/fluxcd/cli-utils", ()),
    Tool(
        "helm3",
        "Helm",
        "helm.sh/helm/v3/cmd/helm",
        ("helm3",),
        "helm.sh/helm/v3",
        (
            "helm.sh/helm/v3/internal/version.version={version}",
            # As Helm's own builds: the Kubernetes that `helm template` and `lint` take it for.
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={client_minor}",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor={client_minor}",
        ),
    ),
    Tool(
        "helm4",
        "Helm",
        "helm.sh/helm/v4/cmd/helm",
        ("helm4",),
        "helm.sh/helm/v4",
        ("helm.sh/helm/v4/internal/version.version={version}",),
    ),
)


def module_version(tool: Tool, module: str) -> str:
    text = (HERE / tool.name / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise Unavailable(f"e2e/tools/{tool.name}/go.mod does not require {module}")
    return found[1]


def linker_flags(tool: Tool) -> str:
    if not tool.stamps:
        return "-s -w"
    version = module_version(tool, tool.pinned)
    client = module_version(tool, "k8s.io/client-go")
    known = {
        "version": version,
        "major": version.removeprefix("v").split(".")[0],
        "minor": version.split(".")[1],
        "client_minor": client.split(".")[1],
    }
    return " ".join(["-s", "-w", *(f"-X {stamp.format(**known)}" for stamp in tool.stamps)])
