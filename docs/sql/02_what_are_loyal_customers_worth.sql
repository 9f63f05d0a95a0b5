-- How much of the business do loyal customers make?
--   is_loyal        whether the customers meet the loyal rule
--   customers       how many they are, customer_share of all
--   spent_in_a_year their net amount of the last 365 days, spent_share of everybody's
--   spent_each      the same for one customer
SELECT is_loyal,
       count(*)                                                                        AS customers,
       count(*) / sum(count(*)) OVER ()                                                AS customer_share,
       sum(amount_365d)                                                                AS spent_in_a_year,
       try_divide(cast(sum(amount_365d) AS double), sum(cast(sum(amount_365d) AS double)) OVER ()) AS spent_share,
       cast(sum(amount_365d) AS double) / count(*)                                     AS spent_each
FROM customer_features_latest
GROUP BY is_loyal
ORDER BY is_loyal DESC;
