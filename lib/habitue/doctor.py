"""`habitue doctor`: is there what Habitué needs? Each failure names its fix."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from habitue.config import SparkSettings
from habitue.machine import Check, check_python, machine_checks

SCALA = "2.13"  # of every Spark 4

INSTALL_FIX = "`pip install 'habitue[local]'` installs what fits together; in a checkout, `make demo` does."
JARS_FIX = (
    "Spark fetches Delta's Java libraries from Maven Central at its first start, and could not. Look at the network "
    "connection. Behind a proxy, set JAVA_TOOL_OPTIONS to -Dhttps.proxyHost=... -Dhttps.proxyPort=...; with a mirror of your "
    "own, set spark.jars.repositories under spark.settings; with no network, copy the folder {folder} from a machine on "
    "which this worked."
)
SESSION_FIX = "What Spark wrote says more. If the system ended Java, there was too little memory."


def run_doctor(settings: SparkSettings) -> list[Check]:
    """Every check that applies here, a Spark session last. `settings` are those of a session of our own: where a platform
    or an active session brings Java, memory and jars, those are not looked at."""
    if _brings_its_own_session():
        return [check_python(sys.version_info[:2]), *package_checks(("pandas",)), check_session(settings)]
    before = [*machine_checks(), *package_checks(("pandas", "pyspark", "delta-spark"))]
    failed = [check.name for check in before if not check.ok]
    if failed:
        return [
            *before,
            Check("Spark and Delta", False, f"not tried, because of {', '.join(failed)}", "Mend that first."),
        ]
    return [*before, *check_delta(settings)]


def package_checks(names: Iterable[str]) -> list[Check]:
    """The versions of the packages `names`, whether pyspark and delta-spark fit each other, and MLflow."""
    allowed, found = allowed_versions(_requires("habitue")), {n: installed(n) for n in (*names, "mlflow")}
    checks = [check_package(name, found[name], allowed.get(name, "")) for name in names]
    if found.get("pyspark") and found.get("delta-spark"):
        checks.append(check_pair(str(found["pyspark"]), str(found["delta-spark"]), _requires("delta-spark")))
    return [*checks, check_mlflow(found["mlflow"], allowed.get("mlflow", ""))]


def check_package(name: str, version: str | None, allowed: str) -> Check:
    """allowed: a version specifier, such as `>=2.2,<3`; blank allows every version."""
    from packaging.specifiers import SpecifierSet

    if version is None:
        return Check(name, False, "not installed", INSTALL_FIX)
    ok = SpecifierSet(allowed).contains(version, prereleases=True)
    return Check(name, ok, version if ok else f"{version}, where {allowed} is needed", f"pip install '{name}{allowed}'")


def check_pair(pyspark: str, delta: str, delta_requires: Iterable[str]) -> Check:
    """Whether this delta-spark was made for this pyspark, by what it says it requires."""
    wanted = allowed_versions(delta_requires).get("pyspark", "")
    one = check_package("pyspark", pyspark, wanted)
    what = f"delta-spark {delta} and pyspark {pyspark}"
    return Check("Versions", one.ok, f"{what} fit" if one.ok else f"{what} do not fit: {wanted} is needed", INSTALL_FIX)


def check_mlflow(version: str | None, allowed: str) -> Check:
    """MLflow is optional: without it only the tracking of runs is lost."""
    if version is None:
        without = "not installed: runs are not tracked, nothing else is lost (pip install 'habitue[mlflow]')"
        return Check("mlflow", True, without)
    return check_package("mlflow", version, allowed)


def allowed_versions(requirements: Iterable[str]) -> dict[str, str]:
    """Package -> version specifier, of a package's own requirements and those of its extra `local`."""
    from packaging.requirements import Requirement

    parsed = [Requirement(text) for text in requirements]
    return {r.name: str(r.specifier) for r in parsed if r.marker is None or r.marker.evaluate({"extra": "local"})}


def installed(name: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_session(settings: SparkSettings) -> Check:
    """Whether the session that is there answers."""
    from habitue.session import get_session

    try:
        spark = get_session(settings)
        spark.range(1).count()
    except Exception as error:  # whatever it is, it is what the doctor is asked to find
        return Check("Spark", False, f"the session does not answer: {_first_line(error)}", SESSION_FIX)
    return Check("Spark", True, f"{spark.version}, a session brought by the platform or active already")


def check_delta(settings: SparkSettings) -> list[Check]:
    """The Delta jars, and whether a local session writes and reads a Delta table, in a folder that is removed again."""
    from habitue.session import get_session

    folder = Path(settings.settings.get("spark.jars.ivy", "~/.ivy2.5.2")).expanduser()
    jar = folder / "jars" / delta_jar(str(installed("pyspark")), str(installed("delta-spark")))
    started = time.monotonic()
    try:
        spark = get_session(settings)
        with tempfile.TemporaryDirectory() as place:
            spark.range(3).write.format("delta").save(f"{place}/table")
            rows = spark.read.format("delta").load(f"{place}/table").count()
        trial = Check("Spark and Delta", rows == 3, f"wrote and read a table in {time.monotonic() - started:.0f} s")
    except Exception as error:  # whatever it is, it is what the doctor is asked to find
        trial = Check("Spark and Delta", False, _first_line(error.__cause__ or error), SESSION_FIX)
    jars = check_jars(jar, trial.ok)
    return [jars, trial if jars.ok else replace(trial, fix="This follows from the missing jars: mend that first.")]


def check_jars(jar: Path, spark_works: bool) -> Check:
    """The Delta jar is where Spark keeps what it fetched; or Spark has it from elsewhere, and works."""
    there = jar.name if jar.exists() else "brought by the Spark installation"
    if jar.exists() or spark_works:
        return Check("Delta jars", True, there)
    return Check("Delta jars", False, f"{jar.name} is not there", JARS_FIX.format(folder=jar.parent.parent))


def delta_jar(pyspark: str, delta: str) -> str:
    """The file name that Ivy gives Delta's jar for these versions."""
    return f"io.delta_delta-spark_{'.'.join(pyspark.split('.')[:2])}_{SCALA}-{delta}.jar"


def render(checks: Iterable[Check]) -> str:
    """The checks as plain text: a line each, and under a failed one its fix."""
    checks = list(checks)
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<16} {check.detail}")
        if not check.ok and check.fix:
            lines.append(textwrap.fill(check.fix, 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
    failed = sum(not check.ok for check in checks)
    return "\n".join([*lines, "All is well." if not failed else f"{failed} of {len(checks)} checks failed."])


def _brings_its_own_session() -> bool:
    if importlib.util.find_spec("pyspark") is None:
        return False
    from pyspark.sql import SparkSession

    from habitue.session import is_platform

    return is_platform() or SparkSession.getActiveSession() is not None


def _requires(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # run from a zip, without its metadata
        return []


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:500] if lines else type(error).__name__
