# Databricks notebook source
# MAGIC %md
# MAGIC # A tour of Habitué
# MAGIC Where orders become answers: run the suite on a shop, look at its segments, ask questions in SQL.
# MAGIC
# MAGIC The configuration (a widget on Databricks, the variable HABITUE_CONFIG elsewhere) says where the orders are and where the tables go.

# COMMAND ----------

import os
from datetime import datetime, timezone

from habitue.config import resolve
from habitue.pipeline import Run
from habitue.progress import ConsoleProgress
from habitue.session import get_session
from habitue.store import Store
from habitue.tables import TABLES, by_name
from rich.console import Console

# On Databricks the configuration is a widget; elsewhere an environment variable.
if "dbutils" in globals():
    dbutils.widgets.text("config", "/Volumes/main/habitue/shop.yml")  # noqa: F821
    config_path = dbutils.widgets.get("config")  # noqa: F821
else:
    config_path = os.environ["HABITUE_CONFIG"]

config = resolve(config_path).config
spark = get_session(config.spark)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Load
# MAGIC Every row of the sources is kept, merged or set aside with its reasons; then the tables are built one after the other.

# COMMAND ----------

now = datetime.now(timezone.utc)
run_id = f"tour-{now:%Y%m%dT%H%M%S}"
store = Store(spark, config, run_id)
result = Run(store, config, now, ConsoleProgress(Console()), run_id).execute(as_of=None)
for table, reason in result.skipped.items():
    print(f"left out: {table}: {reason}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look at the segments
# MAGIC One row a segment: who they are, the rhythm they buy in, and whether that rhythm speaks for its members.

# COMMAND ----------

segments = store.read(by_name()["segments"], result.as_of)
segments.select("name", "customers", "is_loyal", "cycle_days", "return_probability", "verdict").show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Ask
# MAGIC Every table, and its newest snapshot as `<table>_latest`, is a view. docs/sql/ has more questions, with their answers
# MAGIC explained.

# COMMAND ----------

names = store.register_views(TABLES)
print(", ".join(names))

# COMMAND ----------

# MAGIC %md
# MAGIC What sets loyal customers apart?

# COMMAND ----------

spark.sql(
    """
    SELECT sentence FROM loyalty_contrast_latest
    WHERE segment_id = 0 AND kind = 'number' AND NOT restates_rule AND rank IS NOT NULL
    ORDER BY rank LIMIT 5
    """
).show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC Do new customers come back? Months that are not over yet have no retention.

# COMMAND ----------

spark.sql(
    """
    SELECT cohort_month, month_number, customers, retention FROM cohort_retention_latest
    WHERE segment_id = 0 AND is_complete AND month_number BETWEEN 1 AND 3
    ORDER BY cohort_month, month_number
    """
).show(36)

# COMMAND ----------

# MAGIC %md
# MAGIC What do they buy next, more often than its popularity explains? (Only where orders name products.)

# COMMAND ----------

if "item_journeys_latest" in names:
    spark.sql(
        """
        SELECT from_item, to_item, customers, share, expected_share, lift FROM item_journeys_latest
        WHERE segment_id = 0 AND step = 1 AND p_value_adjusted < 0.05
        ORDER BY customers DESC LIMIT 10
        """
    ).show(truncate=False)
