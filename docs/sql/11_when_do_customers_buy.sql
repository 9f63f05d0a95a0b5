-- On which weekdays, and at which time of the day where orders have one, does each segment buy, and more than others?
--   segment    the segment, or everyone
--   dimension  weekday or part_of_day
--   value      the weekday, or the part of the day
--   orders     orders then; share of the segment's orders
--   lift       share against everyone's: 1.2 is 20 % more than everyone
SELECT coalesce(s.name, 'everyone') AS segment,
       p.dimension,
       p.value,
       p.orders,
       p.share,
       p.lift
FROM purchase_patterns_latest p
LEFT JOIN segments_latest s ON s.segment_id = p.segment_id
WHERE p.dimension IN ('weekday', 'part_of_day')
ORDER BY p.segment_id, p.dimension DESC, p.position;
