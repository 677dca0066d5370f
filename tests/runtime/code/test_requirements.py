"""Packages of a manifest: beside the environment, once a node, and told in a line where not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lancemill.code.cache import cache_folder
from lancemill.code.requirements import install, put_on_path
from lancemill.errors import RunError
from support.sampled import sampled
from support.wheels import index_of, wheel

from .given import Place, expected, lancemill, run

UDF = """
import lmtestthrice

def times(batch):
    return {"times": [lmtestthrice.thrice(x) for x in batch.column("x").to_pylist()]}
"""
THRICE = "import lmtestfactor\ndef thrice(x): return x * lmtestfactor.FACTOR\n"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    wheel(folder, "lmtestfactor", "1.0", "FACTOR = 3\n")
    wheel(folder, "lmtestthrice", "1.0", THRICE, "lmtestfactor")
    wheel(folder, "lmtestthrice", "2.0", THRICE.replace("x *", "2 * x *"), "lmtestfactor")
    index_of(folder, monkeypatch)
    return folder


@pytest.mark.parametrize("isolation", sampled(["process", "thread"], first=1))
def test_a_function_has_the_packages_that_the_manifest_asks_for(
    tmp_path: Path, wheels: Path, isolation: str
) -> None:
    place = Place(tmp_path)
    (tmp_path / "my_udfs.py").write_text(UDF)
    udf = {} if isolation == "thread" else {"isolation": isolation}
    manifest = place.manifest("requirements: [lmtestthrice==1.0]\n", udf=udf)
    told = run(manifest)
    assert (told.status, place.rows()) == (0, expected()), told.err
    (note,) = told.notes
    assert note.startswith("installed lmtestthrice==1.0 in ")
    again = run(manifest)
    assert (again.status, again.notes) == (0, []), "what a node has is not installed again"


@pytest.mark.thorough
def test_the_environment_stays_as_it_is(wheels: Path) -> None:
    before = sorted(sys.path)
    installed = install(["lmtestthrice", "numpy"])
    assert installed is not None
    assert installed.what == ("lmtestthrice",), "numpy is there"
    assert installed.folder.is_relative_to(cache_folder())
    assert {path.name for path in installed.folder.glob("*.py")} == {
        "lmtestthrice.py",
        "lmtestfactor.py",
    }
    assert sorted(sys.path) == before


def test_what_the_environment_has_is_not_installed() -> None:
    assert install(["numpy>=1", "pyarrow"]) is None


@pytest.mark.thorough
def test_other_requirements_of_a_process_that_has_loaded_some_are_refused(wheels: Path) -> None:
    one, other = install(["lmtestthrice==1.0"]), install(["lmtestthrice==2.0"])
    assert one is not None and other is not None
    put_on_path(one.folder)
    put_on_path(other.folder)
    import lmtestthrice  # type: ignore[import-not-found]

    assert lmtestthrice.thrice(1) == 6
    with pytest.raises(RunError, match=r"has loaded lmtest.* with other requirements"):
        put_on_path(one.folder)


@pytest.mark.thorough
def test_a_package_that_is_not_to_be_had_is_told_in_a_line(tmp_path: Path, wheels: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "my_udfs.py").write_text(UDF)
    told = run(place.manifest("requirements: [lmtestthrice==7.0]\n"))
    assert told.status == 1
    assert "spec.requirements (lmtestthrice==7.0) cannot be installed: " in told.out
    assert place.rows() == []
    assert not [path for path in (tmp_path / "cache" / "packages").iterdir() if path.is_dir()]


@pytest.mark.thorough
def test_a_dependency_cannot_replace_what_lancemill_is_made_of(wheels: Path) -> None:
    wheel(wheels, "numpy", "1.0", "")
    wheel(wheels, "lmtestold", "1.0", "", "numpy<1.5")
    with pytest.raises(
        RunError, match=r"lmtestold 1\.0 depends on numpy<1\.5; Lancemill runs with numpy=="
    ):
        install(["lmtestold"])
    with pytest.raises(RunError, match=r"numpy==1\.0.*cannot be installed"):
        install(["numpy==1.0"])


@pytest.mark.thorough
def test_a_login_in_an_index_s_address_is_not_told(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:hunter2@127.0.0.1:9/simple")
    with pytest.raises(RunError) as refused:
        install(["lmtestnone==1.0"])
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.thorough
def test_a_plan_installs_nothing_unless_a_function_is_a_package_s_own(
    tmp_path: Path, wheels: Path
) -> None:
    place = Place(tmp_path)
    (tmp_path / "my_udfs.py").write_text(UDF)
    asked = "requirements: [lmtestthrice==1.0]\n"
    assert lancemill("plan", place.manifest(asked)).status == 0
    assert not (tmp_path / "cache").exists()
    own = {"entrypoint": "lmtestthrice:thrice"}
    assert lancemill("plan", place.manifest(asked, udf=own)).status == 0
    assert (tmp_path / "cache" / "packages").is_dir()
