#!/bin/sh
# Prints the Python to set up with: that of .venv where it works, else the first suitable one; or says what to install.
# PYTHON=... names another candidate.
set -u

suits() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

explain() {
    printf '%s\n' "$1" | fold -s -w 79 >&2
    exit 1
}

if suits .venv/bin/python && .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
    echo .venv/bin/python
    exit 0
fi

without_venv=
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3.10 python3}; do
    suits "$candidate" || continue # also where the name is there and does not run, as with a version manager's shims
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        command -v "$candidate"
        exit 0
    fi
    without_venv=$candidate
done

if [ -n "$without_venv" ]; then
    explain "$without_venv is there, but without its venv module, so no environment can be made for Habitué. Install it \
(Debian and Ubuntu: apt install python3-venv, or ${without_venv##*/}-venv) and run make again."
fi
if [ -n "${PYTHON:-}" ]; then
    found="PYTHON=$PYTHON is none of these"
else
    found="the path has $(python3 -V 2>/dev/null || echo "no python3")"
fi
explain "Habitué needs Python 3.10 to 3.13, and $found. Install one (Debian and Ubuntu: apt install python3 python3-venv; \
macOS: brew install python@3.12), or name one that is somewhere else: make PYTHON=/path/to/python3.12 demo."
