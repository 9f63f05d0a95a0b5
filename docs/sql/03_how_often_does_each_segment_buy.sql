-- In which rhythm does each segment buy, and may I rely on it?
--   segment, customers       the segment and its size
--   is_loyal                 at least half of it is loyal, and it returns more than the shop's customers do
--   cycle_days               median days from one purchase to the next
--   cycle_p10_days           one gap in ten is shorter; one in ten is longer than cycle_p90_days
--   return_probability       chance of a next purchase at all, 0-1
--   verdict                  representative: the cycle speaks for its members
--   is_regular               messages may be timed by date
SELECT name AS segment,
       customers,
       is_loyal,
       cycle_days,
       cycle_p10_days,
       cycle_p90_days,
       return_probability,
       verdict,
       is_regular
FROM segments_latest
ORDER BY cycle_days NULLS LAST, segment_id;
