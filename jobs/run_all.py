"""The main job: every table and the report. For spark-submit and Databricks; the options are those of `habitue run`."""

import sys

from habitue.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
