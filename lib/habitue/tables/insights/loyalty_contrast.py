"""What sets loyal customers apart from regular ones, and at which purchase they become loyal."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StringType, StructType

from habitue.config import FeatureSettings, InsightSettings, ShopSettings
from habitue.errors import NotApplicable
from habitue.models.becoming_loyal import counted_by_end, order_number_when_loyal, order_numbers
from habitue.models.cohorts import EVERYONE
from habitue.models.contrast_words import number_sentence, order_number_sentence, value_sentence
from habitue.models.standardised_difference import Moments, standardised_difference
from habitue.table import Table, as_of_column, column
from habitue.tables.insights.cohort_retention_by import with_first_category

NOT_COMPARED = ("as_of", "customer_id", "loyal_window_days", "loyal_threshold", "favourite_weekday")
RULE_PREFIX = "purchase_days_"  # the loyal rule counts purchase days, so these say little that is new
DECILES = tuple(i / 10 for i in range(1, 10))
ORDER_NUMBER = "order_number"  # the kind, and the feature, of rows on when customers become loyal
MOST_ORDER_NUMBERS = 50  # customers who become loyal later than with this purchase day are not listed
HASH_PARTS = 1_000_000


def build(
    customer_features: DataFrame,
    customer_history: DataFrame,
    segment_members: DataFrame,
    as_of: date,
    insights: InsightSettings,
    features: FeatureSettings,
    shop: ShopSettings,
    products: DataFrame | None = None,
) -> DataFrame:
    customers = _compared(customer_features, segment_members, products, insights)
    sizes = _collected(customers.groupBy("segment_id", "is_loyal").agg(F.count(F.lit(1)).alias("customers")))
    _refuse_one_kind(sizes)
    words: dict[str, Any] = {"look_back_days": features.look_back_days, "currency": shop.currency}
    contrasts = pd.concat(
        [_number_rows(_numbers(customers), words), _value_rows(_values(customers, insights.top_values), sizes)],
        ignore_index=True,
    )
    ranked = contrasts.assign(
        rank=contrasts["standardised_difference"].abs().groupby(contrasts["segment_id"]).rank("first", ascending=False)
    )
    rows = pd.concat([ranked, _order_numbers(customers, customer_history)], ignore_index=True)
    plain = rows.assign(as_of=as_of).reindex(columns=TABLE.columns).astype(object)
    whole = ("segment_id", "rank", "loyal_customers", "regular_customers")
    records = [
        tuple(_plain(value, name in whole) for name, value in zip(TABLE.columns, row, strict=True))
        for row in plain.itertuples(index=False, name=None)
    ]
    return customer_features.sparkSession.createDataFrame(records, TABLE.schema)


def _refuse_one_kind(sizes: pd.DataFrame) -> None:
    """Raise NotApplicable where there are not both loyal and regular customers to compare."""
    kinds = set(sizes["is_loyal"])
    if kinds != {True, False}:
        raise NotApplicable("every customer is loyal" if kinds == {True} else "no customer is loyal yet")


def _plain(value: Any, is_whole: bool) -> Any:
    """A value as Spark takes it: None for what there is not."""
    if isinstance(value, list | str | bool | date):
        return value
    if value is None or np.isnan(value):
        return None
    return int(value) if is_whole else value


def _collected(frame: DataFrame) -> pd.DataFrame:
    """An aggregated frame: a few rows per segment and feature, whatever the number of customers."""
    rows: pd.DataFrame = frame.toArrow().to_pandas()
    return rows


def _compared(
    features: DataFrame, members: DataFrame, products: DataFrame | None, insights: InsightSettings
) -> DataFrame:
    """The customers to compare, one row for their segment and one for everyone: all of them, or a share by hash."""
    total = features.count()
    place = F.pmod(F.xxhash64("customer_id", F.lit("contrast")), F.lit(HASH_PARTS))
    limit = HASH_PARTS * insights.contrast_customers // max(total, 1)
    chosen = features if total <= insights.contrast_customers else features.where(place < limit)
    joined = with_first_category(chosen, products).join(
        members.select("customer_id", "segment_id"), "customer_id", "inner"
    )
    return joined.withColumn("segment_id", F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))))


def _numbers(customers: DataFrame) -> DataFrame:
    """segment_id, feature, is_loyal with count, mean, variance and deciles of every figure of the customers."""
    names = [f.name for f in customers.schema.fields if isinstance(f.dataType, NumericType)]
    compared = [name for name in names if name not in (*NOT_COMPARED, "segment_id")]
    figures = F.array(*(_pair(name, F.col(name).cast("double")) for name in compared))
    entries = F.concat(figures, _entries("numeric_attributes", "double", customers.columns))
    each = customers.select("segment_id", "is_loyal", F.inline(entries)).where(F.col("value").isNotNull())
    return each.groupBy("segment_id", "feature", "is_loyal").agg(
        F.count(F.lit(1)).alias("customers"),
        F.avg("value").alias("mean"),
        F.var_samp("value").alias("variance"),
        F.percentile("value", F.array(*map(F.lit, DECILES))).alias("deciles"),
    )


def _values(customers: DataFrame, top_values: int) -> DataFrame:
    """segment_id, feature, value, is_loyal, customers: of what is no figure, each feature's most frequent values."""
    names = [f.name for f in customers.schema.fields if isinstance(f.dataType, StringType)]
    compared = [name for name in names if name not in NOT_COMPARED]
    texts = [_pair(name, F.col(name)) for name in compared]
    weekday = _pair("favourite_weekday", F.col("favourite_weekday").cast("string"))
    entries = F.concat(F.array(*texts, weekday), _entries("text_attributes", "string", customers.columns))
    each = customers.select("segment_id", "is_loyal", F.inline(entries)).where(F.col("value").isNotNull())
    counts = each.groupBy("segment_id", "feature", "value", "is_loyal").agg(F.count(F.lit(1)).alias("customers"))
    of_everyone = F.sum(F.when(F.col("segment_id") == EVERYONE, F.col("customers")).otherwise(0))
    size = of_everyone.over(Window.partitionBy("feature", "value"))
    by_size = Window.partitionBy("feature").orderBy(F.desc("size"), "value")
    ranked = counts.withColumn("size", size).withColumn("place", F.dense_rank().over(by_size))
    return ranked.where(F.col("place") <= top_values).drop("size", "place")


def _pair(name: str, value: Column) -> Column:
    return F.struct(F.lit(name).alias("feature"), value.alias("value"))


def _entries(attributes: str, type_: str, ours: list[str]) -> Column:
    """The shop's own attributes; one that is called like a feature of ours must not be counted with it."""
    taken = [*ours, ORDER_NUMBER]

    def pair(entry: Column) -> Column:
        name = F.when(entry["key"].isin(*taken), F.concat(entry["key"], F.lit(" (attribute)"))).otherwise(entry["key"])
        return F.struct(name.alias("feature"), entry["value"].cast(type_).alias("value"))

    return F.transform(F.map_entries(attributes), pair)


def _order_numbers(customers: DataFrame, customer_history: DataFrame) -> pd.DataFrame:
    """With which purchase day customers first met the loyal rule, by the L and W of this snapshot."""
    days = customer_history.select("customer_id", F.transform("purchase_days", lambda p: p["day"]).alias("days"))
    rule = customers.select("customer_id", "segment_id", "loyal_window_days", "loyal_threshold")
    became_at = order_number_when_loyal(F.col("days"), F.col("loyal_threshold"), F.col("loyal_window_days"))
    counts = _collected(counted_by_end(rule.join(days, "customer_id", "inner").withColumn("became_at", became_at)))
    threshold = int(customers.select("loyal_threshold").limit(1).collect()[0][0])
    rows = [
        {
            "segment_id": segment,
            "kind": ORDER_NUMBER,
            "feature": ORDER_NUMBER,
            "value": str(found.number),
            "loyal_customers": found.became,
            "regular_customers": found.at_risk - found.became,
            "loyal_share": found.became / found.at_risk,
            "restates_rule": False,
            "sentence": order_number_sentence(*found),
        }
        for segment, part in counts.groupby("segment_id")
        for found in order_numbers(part, threshold, MOST_ORDER_NUMBERS)
    ]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def _number_rows(numbers: DataFrame, words: dict[str, Any]) -> pd.DataFrame:
    both = _side_by_side(_collected(numbers), ["segment_id", "feature"])
    both["difference"] = list(zip(*_differences(both), strict=True))
    rows = [
        {
            **_contrast(row, row["customers_loyal"], row["customers_regular"]),
            "kind": "number",
            "loyal_median": row["deciles_loyal"][4],
            "regular_median": row["deciles_regular"][4],
            "loyal_deciles": [float(x) for x in row["deciles_loyal"]],
            "regular_deciles": [float(x) for x in row["deciles_regular"]],
            "restates_rule": row["feature"].startswith(RULE_PREFIX),
            "sentence": number_sentence(
                row["feature"],
                (row["deciles_loyal"][4], row["deciles_regular"][4]),
                (row["mean_loyal"], row["mean_regular"]),
                **words,
            ),
        }
        for row in both.to_dict("records")
    ]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def _value_rows(values: DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """A value is a figure of 0 or 1, over all customers of the group, those without any value of the feature too."""
    counted = _side_by_side(_collected(values), ["segment_id", "feature", "value"], how="outer")
    groups = _side_by_side(sizes, ["segment_id"])
    both = counted.fillna({"customers_loyal": 0, "customers_regular": 0}).merge(
        groups, on="segment_id", suffixes=("_with", "")
    )
    for group in ("loyal", "regular"):
        n, share = both[f"customers_{group}"], both[f"customers_{group}_with"] / both[f"customers_{group}"]
        both[f"mean_{group}"], both[f"variance_{group}"] = share, share * (1 - share) * n / (n - 1)
    both["difference"] = list(zip(*_differences(both), strict=True))
    rows = [
        {
            **_contrast(row, row["customers_loyal_with"], row["customers_regular_with"]),
            "kind": "value",
            "value": row["value"],
            "loyal_share": row["customers_loyal_with"] / (row["customers_loyal_with"] + row["customers_regular_with"]),
            "restates_rule": False,
            "sentence": value_sentence(row["feature"], row["value"], row["mean_loyal"], row["mean_regular"]),
        }
        for row in both.to_dict("records")
    ]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def _side_by_side(rows: pd.DataFrame, keys: list[str], how: Any = "inner") -> pd.DataFrame:
    """Loyal and regular customers in one row; by default only where there are both."""
    loyal, regular = (rows[rows["is_loyal"] == flag].drop(columns="is_loyal") for flag in (True, False))
    both: pd.DataFrame = loyal.merge(regular, on=keys, how=how, suffixes=("_loyal", "_regular"))
    ordered: pd.DataFrame = both.sort_values(keys)
    return ordered


def _differences(both: pd.DataFrame) -> Any:
    return standardised_difference(
        *(Moments(both[f"customers_{g}"], both[f"mean_{g}"], both[f"variance_{g}"]) for g in ("loyal", "regular"))
    )


def _contrast(row: dict[Any, Any], loyal: int, regular: int) -> dict[str, Any]:
    value, low, high = row["difference"]
    return {
        "segment_id": row["segment_id"],
        "feature": row["feature"],
        "loyal_customers": loyal,
        "regular_customers": regular,
        "loyal_mean": row["mean_loyal"],
        "regular_mean": row["mean_regular"],
        "standardised_difference": value,
        "difference_low": low,
        "difference_high": high,
    }


TABLE = Table(
    name="loyalty_contrast",
    grain="One row per as-of, segment with loyal and regular customers, feature, and value where it is no figure.",
    key=("as_of", "segment_id", "feature", "value"),
    schema=StructType(
        [
            as_of_column(),
            column("segment_id", "int", "The segment; 0 is everyone."),
            column(
                "kind",
                "string",
                "number: a figure of customers. value: a value that a customer has or not, of those most frequent. "
                "order_number: with which purchase day customers first meet the loyal rule, by today's L and W.",
            ),
            column("feature", "string", "Column of customer_features, first_category, an attribute, or order_number."),
            column("value", "string", "The value, or the number of the purchase day; NULL of figures.", nullable=True),
            column(
                "rank",
                "int",
                "1 is the largest standardised difference of the segment, either way; NULL where there is none.",
                nullable=True,
            ),
            column(
                "loyal_customers",
                "bigint",
                "Loyal customers compared: with the figure, or the value; of order_number those who become loyal with it.",
            ),
            column(
                "regular_customers",
                "bigint",
                "The same of regular ones; of order_number those who get there and are not loyal with it either.",
            ),
            column(
                "loyal_share",
                "double",
                "loyal_customers / both: of those with the value, or of those who get there; NULL of figures.",
                nullable=True,
            ),
            column("loyal_mean", "double", "Mean of loyal customers; of a value the share with it.", nullable=True),
            column("regular_mean", "double", "The same of regular customers.", nullable=True),
            column("loyal_median", "double", "Median of loyal customers; of figures only.", nullable=True),
            column("regular_median", "double", "The same of regular customers.", nullable=True),
            column("loyal_deciles", "array<double>", "Deciles 1 to 9 of loyal customers.", nullable=True),
            column("regular_deciles", "array<double>", "Deciles 1 to 9 of regular customers.", nullable=True),
            column(
                "standardised_difference",
                "double",
                "(loyal mean - regular mean) / root of the mean of both variances; NULL where nothing varies.",
                nullable=True,
            ),
            column("difference_low", "double", "Lower 95 % limit.", nullable=True),
            column("difference_high", "double", "Upper 95 % limit.", nullable=True),
            column("restates_rule", "boolean", "Counts purchase days, as the loyal rule does: large by definition."),
            column("sentence", "string", "The row in words."),
        ]
    ),
    checks={
        "known_kind": "kind IN ('number', 'value', 'order_number')",
        "interval_around_it": "difference_low IS NULL OR standardised_difference BETWEEN difference_low AND difference_high",
    },
    build=build,
)
