"""The features in DuckDB's SQL."""

from datetime import date
from pathlib import Path

import duckdb

SQL = """
WITH orders AS (
    SELECT order_id, any_value(customer_id) AS customer_id, min(order_day) AS day, sum(amount) AS amount
    FROM '{lines}/*.parquet'
    WHERE order_day < DATE '{as_of}'
    GROUP BY order_id
),
days AS (
    SELECT customer_id, day, count(*) AS orders, sum(amount) AS amount
    FROM orders
    GROUP BY customer_id, day
),
gaps AS (
    SELECT *, day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap
    FROM days
),
customers AS (
    SELECT
        customer_id,
        sum(orders) AS order_count,
        min(day) AS first_day,
        max(day) AS last_day,
        sum(amount) AS amount,
        {windows},
        count(gap) AS gap_count,
        avg(gap) AS gap_mean_days,
        median(gap) AS gap_median_days
    FROM gaps
    GROUP BY customer_id
),
products AS (
    SELECT customer_id, product_id, sum(amount) AS worth, max(order_day) AS last_day
    FROM '{lines}/*.parquet'
    WHERE order_day < DATE '{as_of}'
    GROUP BY customer_id, product_id
),
items AS (
    SELECT
        customer_id,
        count(*) AS product_count,
        count(*) FILTER (last_day >= DATE '{as_of}' - 365) AS breadth,
        min_by(product_id, (-worth, product_id)) AS favourite_item
    FROM products
    GROUP BY customer_id
)
SELECT * FROM customers JOIN items USING (customer_id)
"""
WINDOW = """count(*) FILTER (day >= DATE '{as_of}' - {w}) AS purchase_days_{w}d,
        coalesce(sum(amount) FILTER (day >= DATE '{as_of}' - {w}), 0) AS amount_{w}d"""


def compute(lines: Path, result: Path, as_of: date) -> None:
    windows = ",\n        ".join(WINDOW.format(as_of=as_of, w=w) for w in (7, 30, 90, 365))
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({SQL.format(lines=lines, as_of=as_of, windows=windows)}) TO '{result}'")
