"""The segments and what they need: cleaning and features. The options are those of `habitue run`."""

import sys

from habitue.cli import main

if __name__ == "__main__":
    main(["run", "--only", "clean,features,segments", *sys.argv[1:]])
