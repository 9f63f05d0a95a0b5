"""Getting a Spark session: the one that is there, the platform's, or a local one of our own with Delta."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from habitue.config import SparkSettings
from habitue.errors import HabitueError

# What a local session is started with. Each line has its reason; none is ever set on a session that we did not create.
LOCAL_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.ansi.enabled": "true",  # an overflow raises instead of writing a wrong number
    "spark.sql.session.timeZone": "UTC",  # what `habitue sql` prints is what is stored
    "spark.ui.enabled": "false",  # nobody looks, and it takes seconds and a port
    "spark.ui.showConsoleProgress": "false",  # our own progress lines would be torn apart
    "spark.databricks.delta.snapshotPartitions": "1",  # Delta's 50 tasks a snapshot cost seconds a table
    "spark.sql.execution.arrow.pyspark.enabled": "true",  # small results come to the driver in columns
    # Of more customers than 128 a task, Spark would put all rows in order before it collects each one's list.
    "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "100000",
    "spark.sql.debug.maxToStringFields": "100",  # silences a warning about wide tables
    # The parallel collector is an eighth faster here than the JVM's own choice. Of a run's processor time a third went into
    # compiling Spark with all that is called written into the caller; with less of that a job is a twelfth faster.
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -XX:+IgnoreUnrecognizedVMOptions -XX:FreqInlineSize=100 "
    "-XX:InlineSmallCode=1000 -XX:MaxInlineLevel=6 -XX:LoopUnrollLimit=10",
    "spark.driver.host": "localhost",  # laptops whose own name does not resolve
    "spark.driver.bindAddress": "127.0.0.1",
}


def is_platform() -> bool:
    """Whether a platform brings the session: Databricks, spark-submit, or a Spark Connect server that the environment names."""
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
    under_spark_submit = "PYSPARK_GATEWAY_PORT" in os.environ
    has_server = bool(os.environ.get("SPARK_REMOTE"))
    return on_databricks or under_spark_submit or has_server


def is_connect(spark: SparkSession) -> bool:
    """Whether the session is a Spark Connect client, which has no JVM of its own to call."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_serverless() -> bool:
    return os.environ.get("IS_SERVERLESS", "").upper() == "TRUE"


def get_session(settings: SparkSettings) -> SparkSession:
    """The active session; else the platform's; else a local one with Delta, made with `settings`.

    Raises HabitueError with the fix where a local session cannot start.
    """
    _silence_query_contexts()
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if is_platform():
        return SparkSession.builder.getOrCreate()
    return _local_session(settings)


def _silence_query_contexts() -> None:
    """PySpark also prints each failed query as a line of JSON, trace and all; the error itself is raised to us anyway."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


def _local_session(settings: SparkSettings) -> SparkSession:
    try:
        from delta import configure_spark_with_delta_pip
    except ImportError:
        raise HabitueError(
            "No Spark session is active and delta-spark is not installed, so no local one can be started. "
            "Install it with `pip install 'habitue[local]'`, or start Habitué by spark-submit or on Databricks."
        ) from None
    # The workers must run the Python that runs us, whatever `python3` means on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("habitue").master(settings.master)
    for name, value in {**LOCAL_SETTINGS, **_sized(settings), **settings.settings}.items():
        builder = builder.config(name, value)
    log = tempfile.NamedTemporaryFile(prefix="habitue-spark-", suffix=".log", delete=False)  # noqa: SIM115
    try:
        with _errors_to(log.fileno()):
            spark: SparkSession = configure_spark_with_delta_pip(builder).getOrCreate()
    except Exception as error:  # the JVM's start fails in many ways, all of them ending here
        raise HabitueError(
            f"A local Spark session could not be started ({_first_line(error)}). `habitue doctor` looks for the cause: "
            f"Java 17 or newer, memory, and the Delta jars from Maven Central. What Spark said is in {log.name}."
        ) from error
    if not is_connect(spark):
        spark.sparkContext.setLogLevel("ERROR")
    return spark


@contextmanager
def _errors_to(descriptor: int) -> Iterator[None]:
    """Send standard error, as a process started meanwhile inherits it, elsewhere: Ivy and the JVM write sixty lines."""
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _sized(settings: SparkSettings) -> dict[str, str]:
    return {
        "spark.driver.memory": settings.driver_memory,
        "spark.sql.shuffle.partitions": str(settings.shuffle_partitions),
    }


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
