"""The sections of the report, in the order of the page. A new one is one file and one line here."""

from habitue.report.parts import Section
from habitue.report.sections import (
    cohorts,
    customers_over_time,
    definitions,
    journeys,
    loyalty,
    overview,
    patterns,
    prediction,
    rows_in,
    segment_retention,
    segments,
)

SECTIONS: tuple[Section, ...] = (
    overview.SECTION,
    segments.SECTION,
    customers_over_time.SECTION,
    cohorts.SECTION,
    segment_retention.SECTION,
    journeys.SECTION,
    loyalty.SECTION,
    prediction.LOYALTY,
    prediction.RESPONSES,
    patterns.SECTION,
    rows_in.SECTION,
    definitions.SECTION,
)
