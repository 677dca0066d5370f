"""Debian packages that a node takes, unpacked into the cache; and the base of its images.

Nothing is installed: no service starts, no file of the machine changes. The mirror is the one that
the machine's apt knows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from e2e.cache import CACHE, Unavailable, kept, say
from e2e.image.build import Built

RELEASE = "bookworm"
PACKAGES = (
    *("containerd", "runc", "libseccomp2", "containernetworking-plugins", "conntrack"),
    *("iptables", "libip4tc2", "libip6tc2", "libxtables12", "libmnl0"),
    *("libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11"),
    "debootstrap",
)
BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
BASE_NAME = "python:3.11-slim-bookworm"
"""What Dockerfiles name, and what debootstrap's minimal system with Python 3.11 stands for."""
BASE_ENV = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def packages() -> Path:
    """The folder that stands for / with those packages."""
    return kept(CACHE / f"debian-{_key(PACKAGES)}", f"{len(PACKAGES)} Debian packages", _unpacked)


def environment(root: Path) -> dict[str, str]:
    """With which programs of the folder find each other, their libraries and their plugins."""
    libraries = root / LIBRARIES
    path = [root / "usr/bin", root / "usr/sbin", root / "links"]
    return {
        "PATH": ":".join([*map(str, path), os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": str(libraries),
        "XTABLES_LIBDIR": str(libraries / "xtables"),
    }


def _unpacked(folder: Path) -> None:
    # apt fetches as a user of its own, who must be able to write here.
    with tempfile.TemporaryDirectory(prefix="e2e-deb-") as fetched:
        Path(fetched).chmod(0o777)
        download = ["apt-get", "download", "--quiet=2", *PACKAGES]
        if _tried(download, fetched) and not _updated(download, fetched):
            raise Unavailable(f"apt-get cannot fetch {', '.join(PACKAGES)}")
        for package in sorted(Path(fetched).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    links = folder / "links"
    links.mkdir()
    for family in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            # Debian makes these when it installs the package.
            (links / f"{family}{suffix}").symlink_to("../usr/sbin/xtables-nft-multi")


def _tried(command: list[str], folder: str) -> bool:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode != 0


def _updated(command: list[str], folder: str) -> bool:
    say("apt knows no such packages yet: apt-get update")
    subprocess.run(["apt-get", "update", "--quiet=2"], capture_output=True)
    return not _tried(command, folder)


def base(name: str) -> Built:
    """The image that Dockerfiles begin with; without a registry there is no other."""
    if name.partition("@")[0] != BASE_NAME:
        raise Unavailable(f"FROM {name}: only {BASE_NAME} can be stood in for here")
    key = _key((RELEASE, *BASE_PACKAGES))
    folder = kept(CACHE / f"base-{key}", f"the base by debootstrap ({RELEASE})", _bootstrapped)
    return Built(key=key, layers=(folder / "fs",), env=BASE_ENV)


def _bootstrapped(folder: Path) -> None:
    root = packages()
    script = str(root / "usr/sbin/debootstrap")
    included = f"--include={','.join(BASE_PACKAGES)}"
    command = ["nice", "-n", "5", script, "--variant=minbase", included, RELEASE]
    done = subprocess.run(
        [*command, str(folder / "fs"), _mirror()],
        env={**os.environ, "DEBOOTSTRAP_DIR": str(root / "usr/share/debootstrap")},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Unavailable(f"debootstrap ended with {done.returncode}: {done.stdout[-500:]}")
    for unused in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(folder / "fs" / unused, ignore_errors=True)
        (folder / "fs" / unused).mkdir(parents=True)
    (folder / "fs/etc/resolv.conf").write_text("")
    (folder / "fs/etc/hostname").unlink(missing_ok=True)


def _mirror() -> str:
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        address, release, component = line.split()
        if (release, component) == (RELEASE, "main"):
            return address
    raise Unavailable(f"apt knows no mirror of Debian {RELEASE}: this provider is made for it")


def _key(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
