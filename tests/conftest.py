"""What the tests share: one Spark session with Delta, made when the first test asks for it, and one run of the small shop."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession
from small_shop import AS_OF, SmallRun, configured, run, small_shop
from spark_settings import SETTINGS

from habitue.session import LOCAL_SETTINGS

# The files that take longest, first: two processes share the files, and a long one at the end would leave one of them idle.
LONGEST = ("test_pipeline.py", "test_cli.py", "test_launchers.py", "test_shop_with_products.py", "test_no_leak.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A Connect server and a classic session cannot share a process, so Connect's tests run only where asked for."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if "connect" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("connect"):
            item.add_marker(pytest.mark.skip(reason="runs in a process of its own: pytest -m connect"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from delta import configure_spark_with_delta_pip

    os.environ["PYSPARK_PYTHON"] = sys.executable  # else the workers run whatever `python3` is
    java = {"spark.driver.extraJavaOptions": LOCAL_SETTINGS["spark.driver.extraJavaOptions"]}
    builder = SparkSession.builder.master("local[2]").config(map={**SETTINGS, **java})
    # A fifth faster than adaptive plans, which the tests on Connect and of the launchers have.
    builder = builder.config(map={"spark.sql.shuffle.partitions": "2", "spark.sql.adaptive.enabled": "false"})
    builder = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark-warehouse")))
    session = configure_spark_with_delta_pip(builder).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def small_run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """The tables of the small shop as of AS_OF, for tests that only read them."""
    folder, shop = tmp_path_factory.mktemp("small_shop"), small_shop()
    config = configured(folder / "warehouse", shop.write(folder))
    return SmallRun(shop, config, run(spark, config, AS_OF, only=("clean", "features"), run_id="small"))
