"""The first process of the node's process namespace: `python init.py COMMAND …`.

It runs the command, and reaps what pods and their shims leave behind. When it ends the kernel ends
all others with it. Only the standard library is used: it runs beside any environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def main(command: list[str]) -> int:
    # Ctrl-C reaches the command by itself; it decides what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, preexec_fn=_hears_interrupts)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child.pid, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return os.waitstatus_to_exitcode(status) % 256


def _hears_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
