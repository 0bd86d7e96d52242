-- name: add
INSERT INTO mail_message (id, account, kind, sealed, give_up_at)
VALUES (:id, :account, :kind, :sealed, to_timestamp(:until::bigint / 1e6))
ON CONFLICT (id) DO NOTHING

-- name: claim
-- A lease: whoever does not come back in time, gives way to another.
WITH due AS MATERIALIZED (
    SELECT id
      FROM mail_message
     WHERE state = 'waiting' AND due_at <= now()
     ORDER BY due_at
     LIMIT :limit
       FOR UPDATE SKIP LOCKED)
UPDATE mail_message AS m
   SET lease = :lease::uuid, due_at = now() + make_interval(secs => :seconds),
       attempts = attempts + 1, changed_at = now()
  FROM due
 WHERE m.id = due.id
RETURNING m.id, m.account, m.kind, m.sealed, m.lease, m.attempts, m.created_at

-- name: renew
UPDATE mail_message
   SET due_at = now() + make_interval(secs => :seconds)
 WHERE id = ANY (:ids::text[]) AND lease = ANY (:leases::uuid[])

-- name: done
UPDATE mail_message
   SET state = :state::text, lease = NULL, error = '', changed_at = now(),
       sealed = CASE WHEN :state::text = 'sent' THEN '' ELSE sealed END
 WHERE id = :id AND lease = :lease::uuid

-- name: failed
UPDATE mail_message
   SET lease = NULL, error = :error, changed_at = now(),
       state = CASE WHEN :final::boolean OR now() >= give_up_at THEN 'failed' ELSE 'waiting' END,
       due_at = least(now() + make_interval(secs => :wait), give_up_at)
 WHERE id = :id AND lease = :lease::uuid
RETURNING state

-- name: release
UPDATE mail_message
   SET lease = NULL, due_at = now(), changed_at = now()
 WHERE id = :id AND lease = :lease::uuid

-- name: list
SELECT id, number, account, kind, sealed, state, attempts, due_at, lease IS NOT NULL AS at_work,
       error, created_at, give_up_at
  FROM mail_message
 WHERE state = ANY (:states::text[])
 ORDER BY number DESC
 LIMIT :limit

-- name: get
SELECT id, number, account, kind, sealed, state, attempts, due_at, lease IS NOT NULL AS at_work,
       error, created_at, give_up_at
  FROM mail_message
 WHERE id = :id

-- name: retry
UPDATE mail_message
   SET state = 'waiting', due_at = now(), attempts = 0, changed_at = now(),
       give_up_at = CASE WHEN give_up_at > now() THEN give_up_at
                         ELSE now() + make_interval(secs => :seconds) END
 WHERE lease IS NULL
   AND (id = :id::text OR (:id::text = '' AND state IN ('waiting', 'failed')))
   AND state <> 'sent'

-- name: count
SELECT count(*) FROM mail_message WHERE account = :account

-- name: forget
DELETE FROM mail_message WHERE account = :account

-- name: bound_kept
DELETE FROM mail_message
 WHERE state = 'kept'
   AND (created_at < now() - make_interval(secs => :age)
        OR number NOT IN (
           SELECT number FROM mail_message WHERE state = 'kept' ORDER BY number DESC LIMIT :count))

-- name: sweep
DELETE FROM mail_message
 WHERE (state = 'sent' AND changed_at < now() - make_interval(secs => :sent))
    OR (state = 'failed' AND changed_at < now() - make_interval(secs => :failed))

-- name: measure
SELECT state, count(*) AS messages,
       extract(epoch FROM now() - min(created_at))::float8 AS oldest
  FROM mail_message
 GROUP BY state
