-- What sets loyal customers apart from regular ones? The ten largest differences that are not the loyal rule itself.
--   place      1 is the largest difference
--   sentence   the difference in words
--   difference in standard deviations, positive where loyal customers have more; low to high is its 95 % interval
SELECT row_number() OVER (ORDER BY rank)  AS place,
       sentence,
       standardised_difference            AS difference,
       difference_low                     AS low,
       difference_high                    AS high
FROM loyalty_contrast_latest
WHERE segment_id = 0 AND kind = 'number' AND NOT restates_rule AND rank IS NOT NULL
ORDER BY place
LIMIT 10;
