"""The HTML report again, from the tables as they are. The options are those of `habitue report`."""

import sys

from habitue.cli import main

if __name__ == "__main__":
    main(["report", *sys.argv[1:]])
