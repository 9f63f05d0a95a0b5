-- With which purchase do customers become loyal?
--   purchase_day       the number of the purchase day
--   get_there          customers who get that far without being loyal before
--   become_loyal       of these, the customers who become loyal with this purchase day; chance is their share
--   share_by_then      of all who become loyal with one of these purchase days, those who have by this one (the first 50
--                      purchase days are listed; `sentence` counts those who become loyal later, too)
SELECT cast(value AS int)                                                  AS purchase_day,
       loyal_customers + regular_customers                                 AS get_there,
       loyal_customers                                                     AS become_loyal,
       loyal_share                                                         AS chance,
       try_divide(sum(loyal_customers) OVER (ORDER BY cast(value AS int)), sum(loyal_customers) OVER ()) AS share_by_then
FROM loyalty_contrast_latest
WHERE segment_id = 0 AND kind = 'order_number'
ORDER BY purchase_day;
