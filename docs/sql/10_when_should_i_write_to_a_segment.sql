-- After how many days without a purchase should I write to a customer of a segment?
--   segment            the segment
--   half_back_after    days after which half of all its gaps between purchases are over
--   most_back_after    days after which three quarters are; who is still away then is late
--   lapsed_after       days after which nine in ten of the gaps that ended were over: who is away longer has lapsed
-- These are of two different curves. Whether to write depends on everybody who might come back, so half_back_after and
-- most_back_after are of the curve of all gaps (1 - S), where whoever bought only once has a gap that is still open.
-- A lapse is measured against the rhythm of those who do come back, so lapsed_after is the p90 of the segment's cycle (F, of
-- the gaps that ended within the time that can be seen). Where many buy only once, half may be back later than lapsed_after.
-- A figure is empty where the curve does not get there within what was observed.
SELECT s.name                                                                              AS segment,
       min(CASE WHEN r.curve = 'next_purchase' AND r.share >= 0.5 THEN r.day END)          AS half_back_after,
       min(CASE WHEN r.curve = 'next_purchase' AND r.share >= 0.75 THEN r.day END)         AS most_back_after,
       max(r.threshold_days)                                                               AS lapsed_after
FROM segment_retention_latest r
JOIN segments_latest s ON s.segment_id = r.segment_id
GROUP BY s.segment_id, s.name
ORDER BY half_back_after NULLS LAST, s.segment_id;
