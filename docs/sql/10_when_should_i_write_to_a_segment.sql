-- After how many days without a purchase should I write to a customer of a segment?
--   segment            the segment
--   half_back_after    days after which half of its gaps between purchases are over
--   most_back_after    days after which three quarters are; who is still away then is late
--   lapsed_after       days after which nine in ten are: a customer who is away longer has lapsed
-- A figure is empty where the curve does not get there within what was observed.
SELECT s.name                                                                              AS segment,
       min(CASE WHEN r.curve = 'next_purchase' AND r.share >= 0.5 THEN r.day END)          AS half_back_after,
       min(CASE WHEN r.curve = 'next_purchase' AND r.share >= 0.75 THEN r.day END)         AS most_back_after,
       max(r.threshold_days)                                                               AS lapsed_after
FROM segment_retention_latest r
JOIN segments_latest s ON s.segment_id = r.segment_id
GROUP BY s.segment_id, s.name
ORDER BY half_back_after NULLS LAST, s.segment_id;
