"""Every table, in one list. A new table is one file, one line here, and one test file."""

from habitue.table import Table
from habitue.tables.clean import (
    campaign_products,
    campaigns,
    customers,
    order_lines,
    orders,
    products,
    quarantine,
    responses,
    sends,
)
from habitue.tables.features import _work_known_orders, customer_features, customer_history
from habitue.tables.insights import (
    _work_customer_items,
    cohort_retention,
    cohort_retention_by,
    cohort_retention_weekly,
    item_journeys,
    loyalty_contrast,
    purchase_patterns,
    segment_retention,
)
from habitue.tables.loyalty import _work_loyalty_snapshots, _work_response_snapshots
from habitue.tables.loyalty.loyalty_prediction import loyalty_evaluation, loyalty_scores
from habitue.tables.loyalty.response_prediction import response_evaluation, response_scores
from habitue.tables.operations import runs
from habitue.tables.segments import (
    _work_fit_features,
    segment_candidates,
    segment_members,
    segment_migrations,
    segments,
)

TABLES: tuple[Table, ...] = (
    order_lines.TABLE,
    orders.TABLE,
    customers.TABLE,
    products.TABLE,
    campaigns.TABLE,
    campaign_products.TABLE,
    sends.TABLE,
    responses.TABLE,
    quarantine.TABLE,
    _work_known_orders.TABLE,
    customer_history.TABLE,
    customer_features.TABLE,
    _work_fit_features.TABLE,
    segment_candidates.TABLE,
    segment_members.TABLE,
    segments.TABLE,
    segment_migrations.TABLE,
    _work_customer_items.TABLE,
    purchase_patterns.TABLE,
    cohort_retention.TABLE,
    cohort_retention_weekly.TABLE,
    cohort_retention_by.TABLE,
    segment_retention.TABLE,
    item_journeys.TABLE,
    loyalty_contrast.TABLE,
    _work_loyalty_snapshots.TABLE,
    loyalty_scores.TABLE,
    loyalty_evaluation.TABLE,
    _work_response_snapshots.TABLE,
    response_scores.TABLE,
    response_evaluation.TABLE,
    runs.TABLE,
)


def by_name() -> dict[str, Table]:
    return {table.name: table for table in TABLES}
