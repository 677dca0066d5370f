"""The rights that the chart gives the operator, given to a user of a test's control plane."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from helm.chart import Helm, only, path_of
from kube.control_plane import ControlPlane
from kube.rest import Refused

RIGHTS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


@contextlib.contextmanager
def operator_account(
    plane: ControlPlane, helm: Helm, system: str, watched: Sequence[str] = ()
) -> Iterator[str]:
    """A user of the control plane with exactly the rights that the chart gives the operator.

    `system` is the namespace of its ServiceAccount, `watched` the chart's watchNamespaces. To run
    the operator with `plane.kubeconfig(user)` shows that it needs no right that it does not get.
    """
    values = {
        "watchNamespaces": list(watched),
        "fullnameOverride": system,
        "crds": {"install": False},
        "lease": {"enabled": True},
        "rbac": {"userRoles": False},
        "settings": {"progressVia": "proxy"},
    }
    objects = [
        one
        for one in helm.template(values, namespace=system)
        if one["kind"] in (*RIGHTS, "ServiceAccount")
    ]
    rest = plane.rest()
    for one in objects:
        rest.apply(path_of(one), one)
    try:
        yield plane.service_account(system, only(objects, "ServiceAccount")["metadata"]["name"])
    finally:
        for one in objects:
            with contextlib.suppress(Refused, OSError):
                rest.delete(path_of(one))
