"""What the machine must have: Python, Java, memory, disk. Each failure names its fix.

`python -m habitue.machine` looks before anything is installed, so nothing here goes beyond the standard library.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)  # newer ones: not all packages that we need have releases for them
OLDEST_JAVA = 17  # Spark 4 runs on nothing older
GIB = 2**30
MEMORY_NEEDED = 3 * GIB  # Spark's JVM, its Python workers and the demo's data; with less, the system ends one of them
DISK_NEEDED = 3 * GIB  # the environment takes 2, the tables and Spark's temporary files the rest

JAVA_FIX = (
    "Install Java 17 or newer (Debian and Ubuntu: apt install openjdk-17-jre-headless, or openjdk-21-jre-headless; macOS: "
    "brew install openjdk@17). Where several are installed, let JAVA_HOME name the folder of the newer one."
)


@dataclass(frozen=True)
class Check:
    """One thing looked at: `detail` says what was found, `fix` what to do where it is not `ok`."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def machine_checks() -> list[Check]:
    """Python, Java, memory and disk: what can be looked at before anything is installed."""
    return [
        check_python(sys.version_info[:2]),
        check_java(java_version_text(os.environ)),
        check_memory(available_memory()),
        check_disk(shutil.disk_usage(".").free),
    ]


def check_python(version: tuple[int, int]) -> Check:
    fix = "Install Python 3.10 to 3.13 and make the environment anew with it (make PYTHON=python3.12 demo)."
    return Check("Python", OLDEST_PYTHON <= version <= NEWEST_PYTHON, ".".join(map(str, version)), fix)


def check_java(said: str | None) -> Check:
    """said: what `java -version` prints; None where there is no java to run."""
    version = None if said is None else parse_java_version(said)
    if said is None or version is None:
        return Check("Java", False, "no Java found" if not said else f"no Java found: {said.splitlines()[0]}", JAVA_FIX)
    detail = str(version) if version >= OLDEST_JAVA else f"{version} is too old, {OLDEST_JAVA} is needed"
    return Check("Java", version >= OLDEST_JAVA, detail, JAVA_FIX)


def parse_java_version(text: str) -> int | None:
    """The feature release that `java -version` names: 17 of "17.0.15", 8 of "1.8.0_392"; None where it names none."""
    found = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if found is None:
        return None
    return int(found[2]) if found[1] == "1" and found[2] else int(found[1])


def java_version_text(environment: Mapping[str, str]) -> str | None:
    """What the java that Spark would start says of itself: that of JAVA_HOME, else the path's."""
    home = environment.get("JAVA_HOME")
    command = f"{home}/bin/java" if home else shutil.which("java", path=environment.get("PATH"))
    if command is None:
        return None
    try:
        done = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return f"{command} does not run" + (" (JAVA_HOME names its folder)" if home else "")
    return done.stderr + done.stdout


def check_memory(available: int | None) -> Check:
    """available: bytes; None where the system does not tell."""
    if available is None:
        return Check("Memory", True, "this system does not tell; 3 GB are needed")
    fix = "End other programs, or give the container or the virtual machine more memory."
    ok = available >= MEMORY_NEEDED
    needed = "" if ok else f", {MEMORY_NEEDED / GIB:.0f} GB are needed"
    return Check("Memory", ok, f"{available / GIB:.1f} GB available{needed}", fix)


def available_memory() -> int | None:
    """Bytes that new programs may use: Linux's MemAvailable, at most what a container is allowed."""
    meminfo = _text("/proc/meminfo")
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    limits = [_text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    known = [int(found[1]) * 1024] if found else []
    return min([*known, *(int(limit) for limit in limits if limit.strip().isdigit())], default=None)


def check_disk(free: int) -> Check:
    ok = free >= DISK_NEEDED
    needed = "" if ok else f", {DISK_NEEDED / GIB:.0f} GB are needed"
    return Check("Disk", ok, f"{free / GIB:.1f} GB free here{needed}", "Free some space, or work on another disk.")


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def main() -> None:
    """The machine's checks for `make`: silent where all is well. Raises SystemExit(1) after saying what is not."""
    failed = [check for check in machine_checks() if not check.ok]
    for check in failed:
        print(textwrap.fill(f"{check.name}: {check.detail}. {check.fix}", 79), file=sys.stderr)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
