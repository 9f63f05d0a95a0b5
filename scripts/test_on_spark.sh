#!/bin/sh
# Runs the tests of the tree that MLlib saves, and of whole segmentations, on another Spark: sh scripts/test_on_spark.sh 4.0.1
set -eu

version=$1
venv=.venv-spark-$version
if [ ! -e "$venv/.installed" ]; then
    "$(sh scripts/find_python.sh)" -m venv "$venv"
    grep -v '^pyspark==' constraints.txt > "$venv/constraints.txt"
    echo "Installing Habitué with Spark $version into $venv ..."
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$venv/constraints.txt" \
        -e ".[local,dev]" "pyspark==$version"
    touch "$venv/.installed"
fi
exec "$venv/bin/pytest" -q -n0 tests/models/test_bisecting_kmeans.py tests/models/test_bisecting_tree.py \
    tests/segments/test_simulated_shops.py
