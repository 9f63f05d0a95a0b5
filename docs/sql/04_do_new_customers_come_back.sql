-- Of the customers who bought for the first time in a month, how many bought again in the months after it?
--   cohort_month        the month of the first purchase
--   customers           how many they are
--   month_1 ... month_6 share of them with a purchase in that month after; empty while that month is not over
--   spent_each_so_far   what a customer of the cohort has spent up to the last month that is over
SELECT cohort_month,
       max(customers)                                     AS customers,
       max(CASE WHEN month_number = 1 THEN retention END) AS month_1,
       max(CASE WHEN month_number = 2 THEN retention END) AS month_2,
       max(CASE WHEN month_number = 3 THEN retention END) AS month_3,
       max(CASE WHEN month_number = 4 THEN retention END) AS month_4,
       max(CASE WHEN month_number = 5 THEN retention END) AS month_5,
       max(CASE WHEN month_number = 6 THEN retention END) AS month_6,
       max_by(cumulative_value, CASE WHEN is_complete THEN month_number END) AS spent_each_so_far
FROM cohort_retention_latest
WHERE segment_id = 0
GROUP BY cohort_month
ORDER BY cohort_month;
