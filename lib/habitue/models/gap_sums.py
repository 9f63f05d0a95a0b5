"""The additive sums that groups are judged by, from a DataFrame of customers: three aggregations, whatever the groups.

A frame of customers has: leaf (int, 0 ...), hash_group (int), gaps_days (array<int>), open_gap_days (int).
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from habitue.models.held_out_gain import HeldOutGaps
from habitue.models.purchase_cycle import GapWeights, MemberSums

HASH_GROUPS = 20  # of customers: the jackknife's groups; even ones are one half of the customers, odd ones the other


def hash_group(customer_id: str = "customer_id") -> Column:
    """The customer's group, 0 to 19: by a hash of the id, so that it is the same in every snapshot."""
    return F.pmod(F.xxhash64(customer_id, F.lit("hash group")), F.lit(HASH_GROUPS)).cast("int")


def gap_weights(customers: DataFrame, leaf_count: int) -> GapWeights:
    """Weights of shape (leaf, hash group, longest gap + 1)."""
    n = F.size("gaps_days")
    per_customer = customers.select("leaf", "hash_group", n.alias("n"), "gaps_days", "open_gap_days")
    complete = per_customer.select("leaf", "hash_group", "n", F.explode("gaps_days").alias("gap"))
    still_open = per_customer.select("leaf", "hash_group", "n", F.col("open_gap_days").alias("gap"))
    # An array of both kinds, exploded, would cost five times as much as reading the customers twice.
    summed = (
        _summed(complete, 1 / F.col("n"), is_open=False)
        .unionByName(_summed(still_open, F.when(F.col("n") == 0, 1.0).otherwise(0.0), is_open=True))
        .toPandas()
    )
    longest = int(summed["gap"].max()) if len(summed) else 1
    arrays = {name: np.zeros((leaf_count, HASH_GROUPS, longest + 1)) for name in GapWeights.__dataclass_fields__}
    for is_open, own, each in ((False, "complete", "km_complete"), (True, "censored", "km_open")):
        part = summed[summed["is_open"] == is_open]
        where = (part["leaf"].to_numpy(), part["hash_group"].to_numpy(), part["gap"].to_numpy())
        arrays[own][where] = part["own"].to_numpy()
        arrays[each][where] = part["each"].to_numpy()
    return GapWeights(**arrays)


def _summed(gaps: DataFrame, own_weight: Column, *, is_open: bool) -> DataFrame:
    """By leaf, hash group and gap: the sums of the customers' own weights and of equal weights for all n + 1 gaps."""
    sums = F.sum(own_weight).alias("own"), F.sum(1 / (F.col("n") + 1)).alias("each")
    return gaps.groupBy("leaf", "hash_group", "gap").agg(*sums).withColumn("is_open", F.lit(is_open))


def member_sums(customers: DataFrame, leaf_count: int) -> MemberSums:
    """Sums of shape (leaf,), over the customers with a complete gap."""
    n = F.size("gaps_days")
    logs = F.transform("gaps_days", lambda gap: F.log(gap.cast("double")))
    mean = F.aggregate("logs", F.lit(0.0), lambda total, x: total + x) / F.col("n")
    squares = F.aggregate("logs", F.lit(0.0), lambda total, x: total + (x - F.col("mean")) * (x - F.col("mean")))
    last, before = F.get("gaps_days", F.col("n") - 1), F.get("gaps_days", F.col("n") - 2)
    has_two = F.col("n") >= 2
    repeaters = customers.where(n > 0).select("leaf", "gaps_days", n.alias("n"), logs.alias("logs"))
    summed = (
        repeaters.withColumn("mean", mean)
        .groupBy("leaf")
        .agg(
            F.count(F.lit(1)).alias("members"),
            F.sum("mean").alias("mean_sum"),
            F.sum(F.col("mean") * F.col("mean")).alias("mean_square_sum"),
            F.sum(1 / F.col("n")).alias("inverse_count_sum"),
            F.sum(squares).alias("within_square_sum"),
            F.sum(F.col("n") - 1).alias("degrees_of_freedom"),
            F.sum(F.when(has_two, 1).otherwise(0)).alias("two_gap_members"),
            F.sum(F.when(has_two, F.pow(last / (last + before) - F.lit(0.5), 2))).alias("wheat_morrison_sum"),
        )
        .collect()
    )
    arrays = {name: np.zeros(leaf_count) for name in MemberSums.__dataclass_fields__}
    for row in summed:
        for name in arrays:
            arrays[name][row["leaf"]] = row[name] or 0.0
    return MemberSums(**arrays)


def held_out_gaps(customers: DataFrame, leaf_count: int, horizon: int) -> tuple[HeldOutGaps, HeldOutGaps]:
    """Counts by leaf of the customers' held-out gaps, of the even and the odd hash groups.

    customers: leaf, hash_group, has_held_out, and held_out_gap_days (NULL or > horizon where nothing came within it).
    """
    within = F.when(F.col("held_out_gap_days") <= horizon, F.col("held_out_gap_days")).otherwise(F.lit(-1))
    counted = (
        customers.where("has_held_out")
        .groupBy("leaf", (F.col("hash_group") % 2).alias("half"), within.alias("gap"))
        .agg(F.count(F.lit(1)).alias("customers"))
        .collect()
    )
    halves = [np.zeros((leaf_count, horizon + 2)) for _ in range(2)]
    for row in counted:
        halves[row["half"]][row["leaf"], row["gap"]] = row["customers"]  # -1, nothing within, is the last place
    even, odd = (HeldOutGaps(within=half[:, :-1], longer=half[:, -1]) for half in halves)
    return even, odd
