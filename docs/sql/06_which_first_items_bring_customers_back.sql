-- Which product or category at the first purchase goes with coming back? First months are added up over all cohorts.
--   attribute        first_item: the product of the largest amount on the first day. first_category: its category
--   value            the product or category; (other) are those of fewer customers
--   customers        customers who started with it, of cohorts whose months 1 to 3 are over
--   back_in_month_1  share of them who bought in the month after the first; back_in_month_2, back_in_month_3 likewise
--   spent_by_month_3 what a customer had spent by the end of month 3
WITH followed AS (
    SELECT attribute, attribute_value, cohort_month
    FROM cohort_retention_by_latest
    WHERE segment_id = 0 AND month_number = 3 AND is_complete
)
SELECT c.attribute,
       c.attribute_value                                                              AS value,
       sum(CASE WHEN month_number = 0 THEN customers END)                             AS customers,
       sum(CASE WHEN month_number = 1 THEN retained END) / sum(CASE WHEN month_number = 1 THEN customers END) AS back_in_month_1,
       sum(CASE WHEN month_number = 2 THEN retained END) / sum(CASE WHEN month_number = 2 THEN customers END) AS back_in_month_2,
       sum(CASE WHEN month_number = 3 THEN retained END) / sum(CASE WHEN month_number = 3 THEN customers END) AS back_in_month_3,
       cast(sum(revenue) AS double) / sum(CASE WHEN month_number = 0 THEN customers END) AS spent_by_month_3
FROM cohort_retention_by_latest c
JOIN followed USING (attribute, attribute_value, cohort_month)
WHERE segment_id = 0 AND month_number <= 3 AND attribute IN ('first_item', 'first_category')
GROUP BY c.attribute, c.attribute_value
ORDER BY c.attribute, customers DESC, value;
