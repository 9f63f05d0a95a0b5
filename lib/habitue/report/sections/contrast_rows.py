"""Rows of loyalty_contrast as several sections read them: by name, what is worth telling, and what is bought first."""

from __future__ import annotations

import re

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from habitue.report.reading import Tables, named_items

MOST_SENTENCES = 3
_UNSAID = ("gap_count",)  # purchase_day_count less one, and that has a better sentence
FIRST_PURCHASES = {"first_category": "category", "first_item": "product"}  # the first of them that there is
_ITEMS = ("first_item", "favourite_item")


def with_names(tables: Tables, contrasts: DataFrame) -> DataFrame:
    """Rows of loyalty_contrast with products by name in `value` and in `sentence`."""
    kept = contrasts.withColumn("written", F.col("value"))
    named = named_items(tables, kept, "value", only=F.col("feature").isin(*_ITEMS))
    spoken = F.when(F.col("written") == F.col("value"), F.col("sentence")).otherwise(
        F.replace("sentence", F.concat(F.lit("product "), "written"), "value")
    )
    return named.withColumn("sentence", F.coalesce(spoken, "sentence")).drop("written")


def telling(contrasts: pd.DataFrame) -> pd.DataFrame:
    """What sets loyal customers apart, the largest difference first: without what restates the rule."""
    is_ranked = contrasts["rank"].notna() & ~contrasts["restates_rule"].astype(bool)
    ordered: pd.DataFrame = contrasts[is_ranked].sort_values("rank", kind="stable")
    return ordered


def sentences(told: pd.DataFrame) -> list[str]:
    """The first few, of one figure over several windows (amount_60d, amount_90d) the first alone."""
    told = told[~told["feature"].isin(_UNSAID)]
    measures = told["feature"].map(lambda feature: re.sub(r"_\d+d$", "", feature))
    alike = pd.DataFrame({"measure": measures, "value": told["value"]}).astype(str).duplicated()
    return [str(s) for s in told.loc[~alike, "sentence"].head(MOST_SENTENCES)]


def first_purchases(contrasts: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The feature that says what customers bought first, categories before products, and its rows; none: no rows."""
    values = contrasts[contrasts["kind"] == "value"]
    found = [feature for feature in FIRST_PURCHASES if (values["feature"] == feature).any()]
    feature = found[0] if found else "first_item"
    return feature, values[values["feature"] == feature]
