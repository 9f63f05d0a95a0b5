-- What does each segment buy, and what more than others do? Products appear by name where the shop gives one.
--   segment    the segment, or everyone
--   dimension  item (a product), category or brand
--   place      rank in the segment by net amount
--   value      the product, category or brand; (other) is the rest
--   revenue    net amount; share of the segment's
--   lift       share against everyone's; empty for (other), which is another set in each segment
SELECT coalesce(s.name, 'everyone')                                                       AS segment,
       p.dimension,
       p.position                                                                         AS place,
       CASE WHEN p.dimension = 'item' THEN coalesce(i.name, p.value) ELSE p.value END     AS value,
       p.revenue,
       p.share,
       p.lift
FROM purchase_patterns_latest p
LEFT JOIN segments_latest s ON s.segment_id = p.segment_id
LEFT JOIN products i ON p.dimension = 'item' AND i.product_id = p.value
WHERE p.dimension IN ('item', 'category', 'brand')
ORDER BY p.segment_id, p.dimension DESC, p.position;
