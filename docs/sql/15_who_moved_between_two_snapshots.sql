-- Who moved from segment to segment between any two snapshots? Here the oldest and the newest; write others in place of the
-- two subqueries. (segment_migrations compares each snapshot with the one before it, and tells behaviour from re-fits.)
--   from_segment_id the segment then; NULL: not a customer yet
--   to_segment_id   the segment now; NULL: a customer no more, which only a change of the data can bring about
--   customers       how many
--   revenue_365d    what they spent in the 365 days before the newer snapshot; NULL: no amounts
WITH days AS (
  SELECT (SELECT min(as_of) FROM segment_members) AS first_day,
         (SELECT max(as_of) FROM segment_members) AS last_day
),
past AS (SELECT customer_id, segment_id FROM segment_members WHERE as_of = (SELECT first_day FROM days)),
now AS (SELECT customer_id, segment_id FROM segment_members WHERE as_of = (SELECT last_day FROM days))
SELECT past.segment_id AS from_segment_id,
       now.segment_id  AS to_segment_id,
       count(*)        AS customers,
       sum(amount_365d) AS revenue_365d
FROM past
FULL OUTER JOIN now ON past.customer_id = now.customer_id
LEFT JOIN (SELECT customer_id, amount_365d FROM customer_features WHERE as_of = (SELECT last_day FROM days)) AS spent
  ON spent.customer_id = now.customer_id
GROUP BY past.segment_id, now.segment_id
ORDER BY customers DESC, from_segment_id, to_segment_id;
