-- Who are my loyal customers? The 100 who spend most of those who meet the loyal rule.
--   customer_id           the customer
--   segment               the segment the customer is in
--   recent_purchase_days  days with a purchase in the window of the rule (window_days); needed_days make a customer loyal
--   comes_back_after_days median days between two purchases of this customer
--   days_since_last_order days since the last purchase
--   spent_in_a_year       net amount of the last 365 days
SELECT f.customer_id,
       s.name                          AS segment,
       f.purchase_days_in_loyal_window AS recent_purchase_days,
       f.loyal_threshold               AS needed_days,
       f.loyal_window_days             AS window_days,
       f.gap_median_days               AS comes_back_after_days,
       f.days_since_last_order,
       f.amount_365d                   AS spent_in_a_year
FROM customer_features_latest f
JOIN segment_members_latest m ON m.customer_id = f.customer_id
JOIN segments_latest s ON s.segment_id = m.segment_id
WHERE f.is_loyal
ORDER BY f.amount_365d DESC NULLS LAST, f.purchase_days_in_loyal_window DESC, f.customer_id
LIMIT 100;
