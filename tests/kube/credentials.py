"""Who may talk to the control plane: static tokens, and kubeconfigs that any client can read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ADMIN = "admin"
USERS: Mapping[str, Sequence[str]] = {ADMIN: ("system:masters",), "alice": (), "bob": ()}


@dataclass(frozen=True)
class Identity:
    """A user, or a ServiceAccount, and the token that proves it."""

    name: str
    token: str
    groups: tuple[str, ...] = ()


def identities(users: Mapping[str, Sequence[str]]) -> dict[str, Identity]:
    return {
        name: Identity(name, secrets.token_hex(16), tuple(groups)) for name, groups in users.items()
    }


def write_token_file(path: Path, known: Mapping[str, Identity]) -> None:
    """The form of --token-auth-file: token, name, uid, groups."""
    lines = (
        f'{one.token},{one.name},{one.name},"{",".join(one.groups)}"\n' for one in known.values()
    )
    path.write_text("".join(lines))


def write_signing_keys(folder: Path) -> None:
    """The pair that ServiceAccounts' tokens are signed and checked with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "sa.key").write_bytes(private)
    (folder / "sa.pub").write_bytes(public)


def write_kubeconfig(
    path: Path,
    identity: Identity,
    server: str,
    authority: Path,
    namespace: str = "default",
) -> Path:
    """JSON, which is YAML too. Appears whole: somebody may be reading it."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority": str(authority)}}
        ],
        "users": [{"name": identity.name, "user": {"token": identity.token}}],
        "contexts": [
            {
                "name": "test",
                "context": {"cluster": "test", "user": identity.name, "namespace": namespace},
            }
        ],
        "current-context": "test",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    written.write_text(json.dumps(content, indent=1))
    written.replace(path)
    return path
