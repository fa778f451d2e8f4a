#!/usr/bin/env bash
# Calls tools/stages.py with the Python of the active environment, or else that of the checkout's .venv (make install)
root="$(cd "$(dirname "$0")/.." && pwd)"
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$root/.venv/bin/python" ]; then PYTHON="$root/.venv/bin/python"; fi
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" # this checkout, whatever the environment has installed
exec "$PYTHON" "$root/tools/stages.py" "$@"
