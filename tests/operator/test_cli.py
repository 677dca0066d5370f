"""The command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lancemill_operator import cli


def test_the_version_is_told_without_loading_the_operator() -> None:
    code = (
        "import sys; from lancemill_operator import cli\n"
        "try: cli.main(['--version'])\n"
        "except SystemExit as end: code = end.code\n"
        "assert code == 0 and 'kopf' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lancemill-operator ")


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "run the operator" in capsys.readouterr().out


def test_a_wrong_setting_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANCEMILL_OPERATOR_RESYNC_INTERVAL", "soon")
    assert cli.main(["run"]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert told[0].startswith("lancemill-operator: resync_interval: ")


@pytest.mark.thorough
def test_a_kubeconfig_that_is_not_there_is_told_in_a_line() -> None:
    command = [sys.executable, "-m", "lancemill_operator.cli", "run", "--kubeconfig", "/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert "cannot start" in done.stderr
    assert "Traceback" not in done.stderr
