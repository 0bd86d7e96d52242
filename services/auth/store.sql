-- name: add_device
INSERT INTO auth_device (id, account, project, key, token, status)
VALUES (:id, :account, :project, :key, :token, :status)

-- name: lock_token
SELECT pg_advisory_xact_lock(hashtextextended(:token, 0))::text

-- name: count_token
SELECT count(*) FROM auth_device WHERE token = :token AND status NOT IN ('revoked', 'quarantined')

-- name: lock_devices
-- In one order for everybody: two requests for the same devices wait for each other, and never both.
SELECT id, status
  FROM auth_device
 WHERE account = :account AND project = :project AND id = ANY (:devices::text[])
 ORDER BY id
   FOR UPDATE

-- name: approve
-- As if they had registered just now: else those that waited for long would be dropped at once.
UPDATE auth_device
   SET status = 'pending', registered_at = now()
 WHERE account = :account AND id = ANY (:devices::text[])

-- name: lock_proving
-- In one order for everybody, as above.
SELECT id, account, project, key, status, last_session, prior_session
  FROM auth_device
 WHERE (id, project) IN (SELECT * FROM unnest(:devices::text[], :projects::text[]))
 ORDER BY id
   FOR UPDATE

-- name: lock_account_device
SELECT id, account, project, key, status, last_session, prior_session
  FROM auth_device
 WHERE id = :device AND account = :account
   FOR UPDATE

-- name: set_status
UPDATE auth_device SET status = :status WHERE id = :device AND account = :account

-- name: activate
UPDATE auth_device AS d
   SET status = 'active', last_session = opened.session, prior_session = opened.previous
  FROM unnest(:devices::text[], :accounts::text[], :sessions::text[], :previous::text[])
       AS opened (device, account, session, previous)
 WHERE d.id = opened.device AND d.account = opened.account

-- name: put_sessions
INSERT INTO auth_session (device, account, project, id, connection, expires_at)
SELECT device, account, project, id, connection, to_timestamp(:expires_at::float8)
  FROM unnest(:devices::text[], :accounts::text[], :projects::text[], :ids::text[],
              :connections::text[]) AS opened (device, account, project, id, connection)
ON CONFLICT (device) DO UPDATE
   SET id = excluded.id, connection = excluded.connection,
       opened_at = now(), expires_at = excluded.expires_at

-- name: end_sessions
DELETE FROM auth_session
 WHERE (device, account) IN (SELECT * FROM unnest(:devices::text[], :accounts::text[]))
RETURNING device, account, project, id, connection

-- name: end_connections
DELETE FROM auth_session
 WHERE (device, connection) IN (SELECT * FROM unnest(:devices::text[], :connections::text[]))
RETURNING device, account, project, id, connection

-- name: end_expired
DELETE FROM auth_session
 WHERE expires_at <= now()
RETURNING device, account, project, id, connection

-- name: end_opened_before
DELETE FROM auth_session
 WHERE opened_at < to_timestamp(:before::float8)
RETURNING device, account, project, id, connection

-- name: live_sessions
SELECT device, project, id, extract(epoch FROM expires_at)::bigint AS expires_at
  FROM auth_session
 WHERE expires_at > now() AND device > :after
 ORDER BY device
 LIMIT :limit

-- name: sessions_of
SELECT device, id
  FROM auth_session
 WHERE account = :account AND device = ANY (:devices::text[]) AND expires_at > now()

-- name: drop_pending
DELETE FROM auth_device
 WHERE status = 'pending' AND registered_at < now() - make_interval(secs => :pending::float8)
    OR status = 'waiting' AND registered_at < now() - make_interval(secs => :waiting::float8)
RETURNING id, account, project

-- name: project_devices
SELECT id, account, project
  FROM auth_device
 WHERE project = :project AND account = :account
 ORDER BY id
   FOR UPDATE

-- name: drop_device
DELETE FROM auth_device WHERE id = :device AND account = :account

-- name: count_account
SELECT count(*) FROM auth_device WHERE account = :account

-- name: drop_account
-- Their sessions go with them.
DELETE FROM auth_device WHERE account = :account RETURNING id
