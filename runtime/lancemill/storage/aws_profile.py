"""Static keys of the AWS configuration files.

boto reads ~/.aws/credentials and ~/.aws/config; the Rust client below obstore and Lance knows only
variables and metadata services, so that credentials which work for every other tool would be
missing here.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

KEYS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "region",
    "endpoint_url",
)
_OTHER_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def aws_profile(env: Mapping[str, str]) -> dict[str, str]:
    """What the profile says ($AWS_PROFILE, else `default`); without keys where variables name
    another source of credentials, which go before a profile."""
    name = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    home = Path(env.get("HOME") or "~").expanduser() / ".aws"
    config = _section(env.get("AWS_CONFIG_FILE") or home / "config", name, f"profile {name}")
    secret = _section(env.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", name)
    found = {key: value for key, value in {**config, **secret}.items() if key in KEYS}
    if any(env.get(variable) for variable in _OTHER_SOURCES):
        return {key: value for key, value in found.items() if not key.startswith("aws_")}
    return found


def _section(path: str | Path, *names: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(Path(path).expanduser(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}
    return {
        key: value
        for name in names
        if parser.has_section(name)
        for key, value in parser[name].items()
    }
