-- After a first purchase, what comes next more often than its popularity explains?
--   from_item, to_item the largest item of the first and of the second purchase day (products or categories: item_level)
--   is_same_item       whether they stayed with the same item
--   customers          customers who took this step, out of from_customers who started with from_item and came back
--   share              customers / from_customers; expected_share is what popularity alone would give
--   lift               share / expected_share
--   median_days        days between the two purchases
--   loyal_share        share of these customers who are loyal now; other_loyal_share of those who went on to something else
SELECT item_level,
       from_item,
       to_item,
       is_same_item,
       customers,
       from_customers,
       share,
       expected_share,
       lift,
       median_days,
       loyal_share,
       other_loyal_share
FROM item_journeys_latest
WHERE segment_id = 0 AND step = 1 AND p_value_adjusted < 0.05
ORDER BY is_same_item DESC, customers DESC, from_item, to_item;
