-- How much is in a basket, and how much of it is given away as discount?
--   segment                the segment, or everyone
--   median_value           net amount of the basket in the middle; half of all lie between quarter_below and quarter_above
--   median_units           units (else lines) of the basket in the middle
--   discounted_orders      share of orders with a discount; discount_depth is what it takes off them. Empty: no discounts known
SELECT coalesce(s.name, 'everyone')                                                                       AS segment,
       max(CASE WHEN p.dimension = 'basket_value_quantile' AND p.position = 50 THEN p.level END)          AS median_value,
       max(CASE WHEN p.dimension = 'basket_value_quantile' AND p.position = 25 THEN p.level END)          AS quarter_below,
       max(CASE WHEN p.dimension = 'basket_value_quantile' AND p.position = 75 THEN p.level END)          AS quarter_above,
       max(CASE WHEN p.dimension = 'basket_size_quantile' AND p.position = 50 THEN p.level END)           AS median_units,
       max(CASE WHEN p.dimension = 'discount' AND p.position = 1 THEN p.share END)                        AS discounted_orders,
       max(CASE WHEN p.dimension = 'discount' AND p.position = 1 THEN p.level END)                        AS discount_depth
FROM purchase_patterns_latest p
LEFT JOIN segments_latest s ON s.segment_id = p.segment_id
GROUP BY p.segment_id, s.name
ORDER BY p.segment_id;
