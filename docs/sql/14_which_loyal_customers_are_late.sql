-- Which loyal customers should I look at next? Those who are away for longer than nine in ten gaps of their segment.
--   customer_id             the customer, segment where the customer belongs
--   days_since_last_order   days since the last purchase
--   late_after_days         90th percentile of the segment's cycle
--   comes_back_after_days   median days between two purchases of this customer
--   spent_in_a_year         net amount of the last 365 days
SELECT f.customer_id,
       s.name            AS segment,
       f.days_since_last_order,
       s.cycle_p90_days  AS late_after_days,
       f.gap_median_days AS comes_back_after_days,
       f.amount_365d     AS spent_in_a_year
FROM customer_features_latest f
JOIN segment_members_latest m ON m.customer_id = f.customer_id
JOIN segments_latest s ON s.segment_id = m.segment_id
WHERE f.is_loyal AND f.days_since_last_order > s.cycle_p90_days
ORDER BY f.amount_365d DESC NULLS LAST, f.customer_id;
