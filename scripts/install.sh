#!/bin/sh
# Makes .venv and installs Habitué into it, editable, with the versions of constraints.txt.
set -eu

python=$(sh scripts/find_python.sh)
if [ "$python" != .venv/bin/python ]; then
    echo "Making .venv with $("$python" -V)."
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "Installing Habitué and what it needs into .venv (the first time this fetches several hundred MB) ..."
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[local,demo,dev]"; then
    fold -s -w 79 >&2 <<'TEXT'

The Python packages could not be installed; pip's own words are above. Most often the package index could not be reached: look at the network connection; behind a proxy set HTTPS_PROXY, with a mirror of your own set PIP_INDEX_URL; then run make again. It goes on where it stopped.
TEXT
    exit 1
fi
touch .venv/.installed
