"""How the benchmarks measure: each engine in a process of its own, and the peak memory of all that it started."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns, called in a fresh process, so that the memory found there is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_bytes() -> int:
    """Peak resident memory of this process, plus that of every process below it (a JVM, Python workers) at its own peak."""
    return own_peak_bytes() + sum(
        int(fields.get("VmHWM", "0").split()[0]) * 1024 for fields in _processes_below(os.getpid())
    )


def own_peak_bytes() -> int:
    """Peak resident memory of this Python process alone: what comes to the driver's Python lies here."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _processes_below(pid: int) -> list[dict[str, str]]:
    """The fields of /proc/<pid>/status of all descendants that are still running."""
    everything = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:  # ended meanwhile
            continue
        everything[int(status.parent.name)] = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    family = {pid}
    while new := {p for p, fields in everything.items() if int(fields["PPid"]) in family} - family:
        family |= new
    return [everything[p] for p in family - {pid}]
