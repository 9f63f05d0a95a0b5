"""What is installed from the wheel: every module, the defaults and the report's files; and no pyspark with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path

import pytest

from habitue import __version__

PROJECT = Path(__file__).parents[1]
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
PLATFORMS_OWN = ("pyspark", "delta-spark", "mlflow")
INFO = f"habitue-{__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as a build leaves files of its own beside the sources; without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("lib", "conf"):
        shutil.copytree(PROJECT / name, folder / name, ignore=left_out)
    for name in SOURCES:
        shutil.copy(PROJECT / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--wheel-dir", "dist", "."], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_file_of_the_package_is_in_it(names: set[str]) -> None:
    lib = PROJECT / "lib"
    files = [p.relative_to(lib) for p in lib.rglob("*") if p.is_file() and p.parts[-2] != "__pycache__"]
    package = {p.as_posix() for p in files if p.parts[0] == "habitue"}
    assert package <= names, sorted(package - names)
    assert {"habitue/py.typed", "habitue/report/page.html", "habitue/report/style.css", "habitue/cli.py"} <= package
    settings = {f"habitue/conf/{p.name}" for p in (PROJECT / "conf").glob("*.yml")}
    assert {"habitue/conf/base.yml", *settings} <= names
    assert {name.split("/")[0] for name in names} == {"habitue", INFO}


def test_the_base_install_brings_no_pyspark(wheel: Path) -> None:
    metadata = message_from_string(read(wheel, "METADATA"))
    required = metadata.get_all("Requires-Dist") or []
    base = [line for line in required if "extra ==" not in line]
    assert any(line.startswith("pydantic") for line in base)
    assert not [line for line in base if line.lower().startswith(PLATFORMS_OWN)]
    local = [line for line in required if 'extra == "local"' in line.replace("'", '"')]
    assert {name for name in PLATFORMS_OWN if any(line.startswith(name) for line in local)} == set(PLATFORMS_OWN)
    scripts = ConfigParser()
    scripts.read_string(read(wheel, "entry_points.txt"))
    assert dict(scripts["console_scripts"]) == {"habitue": "habitue.cli:script"}


def test_an_installed_wheel_has_its_defaults(wheel: Path, tmp_path: Path) -> None:
    """The command line over the unpacked wheel, elsewhere than in the project."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import habitue.cli; from importlib import resources; print(resources.files('habitue.conf'));"
        "habitue.cli.main(['config', 'show'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    where, *shown = done.stdout.splitlines()
    assert str(tmp_path / "site" / "habitue" / "conf") in where
    assert "loyal.min_purchase_days = 2  # conf/base.yml" in shown


def read(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{INFO}/{name}").decode()
