-- name: begin_session
-- Only while the password is still the one that was shown: one that is changed meanwhile either
-- waits for this row, and ends its session, or is seen here.
INSERT INTO accounts_session (id, "user", digest, address, agent)
SELECT :id::text, u.id, :digest::bytea, :address::text, :agent::text
  FROM accounts_user AS u
 WHERE u.id = :user AND u.password = :password AND u.suspended_at IS NULL
   FOR SHARE
RETURNING id, "user", number, address, agent, created_at, seen_at,
          created_at + make_interval(secs => :lifetime::float8) AS ends_at

-- name: end_replaced
DELETE FROM accounts_session WHERE digest = :digest

-- name: bound_sessions
-- Those in use stay.
DELETE FROM accounts_session
 WHERE "user" = :user
   AND id NOT IN (
       SELECT id FROM accounts_session
        WHERE "user" = :user
        ORDER BY seen_at DESC, number DESC
        LIMIT :most)

-- name: live_session
-- In the account that is asked for, or in the one that its person joined first and that stays.
SELECT s.id, s."user", coalesce(m.account, '') AS account, coalesce(m.role, 'viewer') AS role,
       coalesce((SELECT jsonb_object_agg(n.project, n.role)
                   FROM accounts_narrowed AS n
                  WHERE n.account = m.account AND n."user" = s."user"), '{}') AS narrowed,
       coalesce(m.closing, false)
       OR EXISTS (SELECT FROM accounts_departure AS l WHERE l."user" = s."user") AS closing,
       coalesce(m.require_second_factor, false)
       AND NOT EXISTS (SELECT FROM accounts_totp AS t
                        WHERE t."user" = s."user" AND t.confirmed_at IS NOT NULL)
       AND NOT EXISTS (SELECT FROM accounts_passkey AS k WHERE k."user" = s."user")
       AS needs_factor,
       s.seen_at < now() - interval '1 minute' AS stale
  FROM accounts_session AS s
  JOIN accounts_user AS u ON u.id = s."user"
  LEFT JOIN LATERAL (
       SELECT i.account, i.role, a.require_second_factor, d.account IS NOT NULL AS closing
         FROM accounts_member AS i
         JOIN accounts_account AS a ON a.id = i.account
         LEFT JOIN accounts_deletion AS d ON d.account = i.account
        WHERE i."user" = s."user" AND (:account::text = '' OR i.account = :account::text)
        ORDER BY d.account IS NOT NULL, i.number
        LIMIT 1) AS m ON true
 WHERE s.digest = :digest
   AND s.created_at > now() - make_interval(secs => :lifetime)
   AND s.seen_at > now() - make_interval(secs => :idle)
   AND u.suspended_at IS NULL

-- name: see_session
UPDATE accounts_session
   SET seen_at = now()
 WHERE id = :session AND seen_at < now() - interval '1 minute'

-- name: list_sessions
SELECT id, "user", number, address, agent, created_at, seen_at,
       created_at + make_interval(secs => :lifetime) AS ends_at
  FROM accounts_session
 WHERE "user" = :user AND number > :after
   AND created_at > now() - make_interval(secs => :lifetime)
   AND seen_at > now() - make_interval(secs => :idle)
 ORDER BY number
 LIMIT :limit

-- name: get_session
SELECT id, "user", number, address, agent, created_at, seen_at,
       created_at + make_interval(secs => :lifetime) AS ends_at
  FROM accounts_session
 WHERE "user" = :user AND id = :session
   AND created_at > now() - make_interval(secs => :lifetime)
   AND seen_at > now() - make_interval(secs => :idle)

-- name: end_session
DELETE FROM accounts_session WHERE "user" = :user AND id = :session

-- name: end_others
DELETE FROM accounts_session WHERE "user" = :user AND id <> :session
