"""The doctor's judgements on what its probes report, each as some machine reports it, and one look at the real thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from habitue.config import resolve
from habitue.doctor import (
    allowed_versions,
    check_jars,
    check_mlflow,
    check_package,
    check_pair,
    delta_jar,
    installed,
    render,
    run_doctor,
)
from habitue.machine import (
    GIB,
    Check,
    check_disk,
    check_java,
    check_memory,
    check_python,
    java_version_text,
    parse_java_version,
)
from habitue.session import is_platform

OPENJDK_17 = 'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)\n'


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (OPENJDK_17, 17),
        ('java version "1.8.0_392"\nJava(TM) SE Runtime Environment', 8),
        ('openjdk version "11.0.22" 2024-01-16', 11),
        ('openjdk version "21" 2023-09-19', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "17.0.2" 2022-01-18', 17),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_java_version_is_the_feature_release(said: str, version: int | None) -> None:
    assert parse_java_version(said) == version


@pytest.mark.parametrize("said", [None, "", "Unable to locate a Java Runtime.", 'java version "1.8.0_392"'])
def test_missing_and_old_java_fail_with_the_fix(said: str | None) -> None:
    check = check_java(said)
    assert not check.ok
    assert "Java 17" in check.fix


def test_old_java_is_named_by_its_version() -> None:
    assert check_java('openjdk version "11.0.22" 2024-01-16').detail == "11 is too old, 17 is needed"
    assert check_java(OPENJDK_17) == Check("Java", True, "17", check_java(None).fix)


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    """Spark starts JAVA_HOME's java whatever the path has, so a JAVA_HOME without one is a failure of its own."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023-10-17' >&2\n")
    java.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin"}
    assert parse_java_version(java_version_text({**environment, "JAVA_HOME": str(tmp_path)}) or "") == 21
    broken = check_java(java_version_text({**environment, "JAVA_HOME": str(tmp_path / "nowhere")}))
    assert not broken.ok
    assert "JAVA_HOME" in broken.detail
    assert java_version_text({"PATH": str(tmp_path)}) is None


def test_thresholds() -> None:
    assert [check_python(v).ok for v in [(3, 9), (3, 10), (3, 13), (3, 14)]] == [False, True, True, False]
    assert [check_memory(n).ok for n in [3 * GIB - 1, 3 * GIB, None]] == [False, True, True]
    assert [check_disk(n).ok for n in [3 * GIB - 1, 3 * GIB]] == [False, True]
    assert check_memory(GIB).detail == "1.0 GB available, 3 GB are needed"


def test_a_named_connect_server_brings_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    assert not is_platform()
    monkeypatch.setenv("SPARK_REMOTE", "sc://server:15002")
    assert is_platform()


def test_pandas_3_and_a_missing_package_fail() -> None:
    allowed = allowed_versions(["pandas<3,>=2.2", 'mlflow<4,>=3; extra == "local"', 'ruff>=0.9; extra == "dev"'])
    assert set(allowed) == {"pandas", "mlflow"}
    assert check_package("pandas", "2.3.3", allowed["pandas"]).ok
    too_new = check_package("pandas", "3.0.0", allowed["pandas"])
    assert not too_new.ok
    assert "3.0.0" in too_new.detail
    assert "pip install 'pandas" in too_new.fix
    assert check_package("pyspark", None, "").detail == "not installed"


def test_the_broken_delta_release_is_refused() -> None:
    """4.4.1 never came to Maven Central, so its jars cannot be fetched."""
    allowed = allowed_versions(['delta-spark!=4.4.1,<5,>=4.1; extra == "local"'])
    assert not check_package("delta-spark", "4.4.1", allowed["delta-spark"]).ok
    assert check_package("delta-spark", "4.4.0", allowed["delta-spark"]).ok


def test_delta_made_for_another_spark_fails() -> None:
    requires = ["pyspark<=4.2.0,>=4.0.1", "importlib_metadata<=8.7.1,>=1.0.0"]
    assert check_pair("4.2.0", "4.4.0", requires).ok
    assert "do not fit" in check_pair("4.3.0", "4.4.0", requires).detail


def test_without_mlflow_all_is_well_and_says_what_is_lost() -> None:
    check = check_mlflow(None, ">=3,<4")
    assert check.ok
    assert "not tracked" in check.detail
    assert not check_mlflow("2.9.0", ">=3,<4").ok


def test_jars_fail_only_where_they_are_missing_and_spark_did_not_start(tmp_path: Path) -> None:
    jar = tmp_path / "jars" / delta_jar("4.2.0", "4.4.0")
    assert jar.name == "io.delta_delta-spark_4.2_2.13-4.4.0.jar"
    missing = check_jars(jar, spark_works=False)
    assert not missing.ok
    assert str(tmp_path) in missing.fix
    assert check_jars(jar, spark_works=True).ok
    jar.parent.mkdir()
    jar.touch()
    assert check_jars(jar, spark_works=False).ok


def test_rendered_failures_carry_their_fix_and_are_counted() -> None:
    text = render([Check("Java", False, "no Java found", "Install it."), Check("Disk", True, "9 GB", "Free some.")])
    assert text.splitlines() == [
        "FAIL  Java             no Java found",
        "      Install it.",
        "ok    Disk             9 GB",
        "1 of 2 checks failed.",
    ]


def test_an_active_session_is_used_and_its_machine_is_not_judged(spark: SparkSession) -> None:
    checks = run_doctor(resolve().config.spark)
    assert [check.name for check in checks] == ["Python", "pandas", "mlflow", "Spark"]
    assert all(check.ok for check in checks), render(checks)
    assert spark.version in checks[-1].detail


def test_what_is_installed_here_passes() -> None:
    assert installed("no-such-package-as-this") is None
    assert installed("pandas")
