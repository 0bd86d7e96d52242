-- ── asked for, undone ──

-- name: get
SELECT requested_at, due_at, begun_at IS NOT NULL AS begun,
       extract(epoch FROM requested_at)::text AS version
  FROM accounts_deletion
 WHERE account = :account

-- name: request
INSERT INTO accounts_deletion (account, requested_at, due_at, digest, along_with)
VALUES (:account, :now, :now::timestamptz + make_interval(secs => :grace), :digest, :along_with)

-- name: lock
SELECT requested_at, due_at, begun_at IS NOT NULL AS begun,
       extract(epoch FROM requested_at)::text AS version
  FROM accounts_deletion
 WHERE account = :account
   FOR UPDATE

-- name: undo
DELETE FROM accounts_deletion WHERE account = :account

-- name: along_with
-- Those that go along with a person, and can still be brought back.
SELECT account FROM accounts_deletion
 WHERE along_with = :user AND begun_at IS NULL
 ORDER BY account
   FOR UPDATE

-- name: has_owner_who_stays
SELECT EXISTS (
    SELECT FROM accounts_member AS m
     WHERE m.account = :account AND m.role = 'owner'
       AND NOT EXISTS (SELECT FROM accounts_departure AS d WHERE d."user" = m."user"))

-- name: end_sessions
-- Of those who are in no other account; the others' sessions do not reach this one.
DELETE FROM accounts_session AS s
 USING accounts_member AS m
 WHERE m.account = :account AND s."user" = m."user"
   AND NOT EXISTS (
       SELECT FROM accounts_member AS o WHERE o."user" = m."user" AND o.account <> :account)

-- name: of_link
SELECT d.account, a.name
  FROM accounts_deletion AS d
  JOIN accounts_account AS a ON a.id = d.account
 WHERE d.digest = :digest AND d.begun_at IS NULL

-- name: account_name
SELECT name FROM accounts_account WHERE id = :account

-- name: owners
SELECT u.id AS "user", u.email, u.locale
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
 WHERE m.account = :account AND m.role = 'owner'
 ORDER BY m.number

-- ── what accounts themselves hold ──

-- name: count
SELECT (SELECT count(*) FROM accounts_member WHERE account = :account) AS members,
       (SELECT count(*) FROM accounts_api_token
         WHERE account = :account AND revoked_at IS NULL) AS api_tokens

-- name: export_account
SELECT jsonb_build_object('id', id, 'name', name, 'created_at', created_at) AS record
  FROM accounts_account
 WHERE id = :account
OFFSET :offset LIMIT :limit

-- name: export_members
SELECT jsonb_build_object(
           'user', m."user", 'name', u.name, 'email', u.email, 'role', m.role,
           'joined_at', m.joined_at,
           'narrowed', coalesce((SELECT jsonb_object_agg(n.project, n.role)
                                   FROM accounts_narrowed AS n
                                  WHERE n.account = m.account AND n."user" = m."user"), '{}')
       ) AS record
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
 WHERE m.account = :account
 ORDER BY m.number
OFFSET :offset LIMIT :limit

-- name: export_api_tokens
SELECT jsonb_build_object(
           'id', id, 'name', name, 'prefix', prefix, 'scopes', scopes, 'user', "user",
           'created_at', created_at, 'expires_at', expires_at, 'revoked_at', revoked_at) AS record
  FROM accounts_api_token
 WHERE account = :account
 ORDER BY number
OFFSET :offset LIMIT :limit

-- name: add_export
INSERT INTO accounts_export (id, account, made_by, expires_at)
VALUES (:id, :account, :by, now() + make_interval(secs => :seconds))
RETURNING id, created_at, expires_at

-- name: get_export
SELECT id, created_at, expires_at
  FROM accounts_export
 WHERE id = :export AND account = :account AND expires_at > now()

-- ── erased ──

-- name: claim
-- One that is due, for as long as the lease; whoever does not come back gives way to another.
UPDATE accounts_deletion AS d
   SET lease = :lease::uuid, next_at = now() + make_interval(secs => :seconds)
 WHERE d.account = (
       SELECT account
         FROM accounts_deletion
        WHERE due_at <= :now AND next_at <= now()
        ORDER BY due_at
        LIMIT 1
          FOR UPDATE SKIP LOCKED)
RETURNING account, requested_at, begun_at IS NOT NULL AS begun, projects, integrations, done,
          attempts

-- name: wait
-- Seconds until the next one may be claimed; none is negative for long.
SELECT least(:most::float8, greatest(0, coalesce(min(greatest(
           extract(epoch FROM due_at - :now::timestamptz),
           extract(epoch FROM next_at - now()))), :most::float8)))::float8
  FROM accounts_deletion

-- name: begin
UPDATE accounts_deletion
   SET begun_at = :now, projects = :projects, integrations = :integrations, counted = :counted
 WHERE account = :account AND lease = :lease::uuid

-- name: note_done
UPDATE accounts_deletion
   SET done = array_append(done, :owner), error = '', attempts = 0,
       next_at = now() + make_interval(secs => :seconds)
 WHERE account = :account AND lease = :lease::uuid

-- name: not_done
UPDATE accounts_deletion
   SET done = ARRAY (SELECT one FROM unnest(done) AS one WHERE one <> ALL (:owners::text[])),
       next_at = now()
 WHERE account = :account AND lease = :lease::uuid

-- name: renew
UPDATE accounts_deletion
   SET next_at = now() + make_interval(secs => :seconds)
 WHERE account = :account AND lease = :lease::uuid

-- name: put_off
UPDATE accounts_deletion
   SET lease = NULL, next_at = now() + make_interval(secs => :seconds), error = :error,
       attempts = attempts + 1
 WHERE account = :account AND lease = :lease::uuid

-- name: report
INSERT INTO accounts_erased (id, digest, requested_at, begun_at, erased_at, counted)
SELECT :id, sha256(convert_to(account, 'UTF8')), requested_at, begun_at, :now, counted
  FROM accounts_deletion
 WHERE account = :account AND lease = :lease::uuid

-- name: delete_account
-- With its members, tokens, exports, and what says that it is to be deleted.
DELETE FROM accounts_account WHERE id = :account
