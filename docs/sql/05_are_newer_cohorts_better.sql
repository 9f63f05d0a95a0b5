-- Are the customers of later months worth more after the same time? Cohorts are compared three months after the first.
--   cohort_month     the month of the first purchase; only cohorts whose third month is over
--   customers        how many they are
--   retention        share who bought in the third month
--   spent_each       what a customer had spent by its end
--   change           spent_each against the cohort before, 0.1 is 10 % more
SELECT cohort_month,
       customers,
       retention,
       cumulative_value AS spent_each,
       try_divide(cumulative_value, lag(cumulative_value) OVER (ORDER BY cohort_month)) - 1 AS change
FROM cohort_retention_latest
WHERE segment_id = 0 AND month_number = 3 AND is_complete
ORDER BY cohort_month;
