-- name: take_attempt
-- Counts an attempt as a failure before it is checked, so that no two slip through side by side; a
-- right password clears it. After a lock, and after a day without failures, it begins anew.
INSERT INTO accounts_attempt AS a (key, failures, until) VALUES (:key, 1, now())
    ON CONFLICT (key) DO UPDATE
   SET (failures, until, changed_at) = (
       SELECT n.failures, now() + make_interval(secs => coalesce(max(s.seconds), 0)), now()
         FROM (SELECT CASE WHEN a.failures >= :last::integer
                             OR a.changed_at < now() - interval '1 day'
                           THEN 1 ELSE a.failures + 1 END AS failures) AS n
         LEFT JOIN unnest(:steps::integer[], :waits::float8[]) AS s (failures, seconds)
                ON s.failures <= n.failures
        GROUP BY n.failures)
 WHERE a.until <= now()
RETURNING failures, until, extract(epoch FROM until - now())::float8 AS wait, true AS taken

-- name: give_back_attempt
-- Of a right password that is not enough: what was counted before stays.
UPDATE accounts_attempt
   SET failures = failures - 1, until = CASE WHEN until = :until THEN now() ELSE until END
 WHERE key = :key AND failures > 0

-- name: get_attempt
SELECT failures, until, greatest(extract(epoch FROM until - now()), 1)::float8 AS wait,
       false AS taken
  FROM accounts_attempt
 WHERE key = :key

-- name: clear_attempts
DELETE FROM accounts_attempt WHERE key = ANY (:keys::bytea[])

-- name: take_tally
INSERT INTO accounts_tally AS t (key, used, ends_at)
VALUES (:key, 1, now() + make_interval(secs => :seconds))
    ON CONFLICT (key) DO UPDATE
   SET used = CASE WHEN t.ends_at <= now() THEN 1 ELSE t.used + 1 END,
       ends_at = CASE WHEN t.ends_at <= now() THEN excluded.ends_at ELSE t.ends_at END
 WHERE t.ends_at <= now() OR t.used < :most
RETURNING used

-- name: wait_of_tally
SELECT greatest(extract(epoch FROM ends_at - now()), 1)::float8 FROM accounts_tally WHERE key = :key

-- name: give_back
UPDATE accounts_tally SET used = used - 1 WHERE key = :key AND used > 0
