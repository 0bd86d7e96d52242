-- ── asked for, undone ──

-- name: get
SELECT requested_at, due_at, due_at <= :now AS begun,
       extract(epoch FROM requested_at)::text AS version
  FROM accounts_departure
 WHERE "user" = :user

-- name: sole
-- Accounts that have no other owner who stays.
SELECT a.id, a.name,
       (SELECT count(*) FROM accounts_member AS o
         WHERE o.account = a.id AND o."user" <> :user) AS others,
       EXISTS (SELECT FROM accounts_deletion AS d WHERE d.account = a.id) AS closing
  FROM accounts_member AS m
  JOIN accounts_account AS a ON a.id = m.account
 WHERE m."user" = :user AND m.role = 'owner'
   AND NOT EXISTS (
       SELECT FROM accounts_member AS o
        WHERE o.account = m.account AND o.role = 'owner' AND o."user" <> :user
          AND NOT EXISTS (SELECT FROM accounts_departure AS d WHERE d."user" = o."user"))
 ORDER BY m.number

-- name: lock_accounts
-- In one order, and before the person: whoever changes members does it so, too.
SELECT a.id
  FROM accounts_account AS a
 WHERE a.id IN (SELECT account FROM accounts_member WHERE "user" = :user)
 ORDER BY a.id
   FOR UPDATE

-- name: request
INSERT INTO accounts_departure ("user", requested_at, due_at, digest)
VALUES (:user, :now, :now::timestamptz + make_interval(secs => :grace), :digest)
    ON CONFLICT ("user") DO NOTHING

-- name: lock
SELECT requested_at, due_at, due_at <= :now AS begun,
       extract(epoch FROM requested_at)::text AS version
  FROM accounts_departure
 WHERE "user" = :user
   FOR UPDATE

-- name: undo
DELETE FROM accounts_departure WHERE "user" = :user

-- name: of_link
SELECT u.id AS "user", u.email
  FROM accounts_departure AS d
  JOIN accounts_user AS u ON u.id = d."user"
 WHERE d.digest = :digest AND d.due_at > :now

-- ── erased ──

-- name: due
SELECT "user", gone_at IS NOT NULL AS gone, credentials, attempts
  FROM accounts_departure
 WHERE due_at <= :now AND next_at <= now()
 ORDER BY due_at
 LIMIT 1

-- name: wait
-- Seconds until the next one is due; none is negative for long.
SELECT least(:most::float8, greatest(0, coalesce(min(greatest(
           extract(epoch FROM due_at - :now::timestamptz),
           extract(epoch FROM next_at - now()))), :most::float8)))::float8
  FROM accounts_departure

-- name: lock_due
SELECT "user" FROM accounts_departure
 WHERE "user" = :user AND due_at <= :now AND gone_at IS NULL
   FOR UPDATE

-- name: credentials_of
SELECT id FROM accounts_session WHERE "user" = :user
 UNION ALL
SELECT id FROM accounts_api_token WHERE "user" = :user
 UNION ALL
SELECT :user::text

-- name: delete_invitations_to
DELETE FROM accounts_invitation WHERE email = :email

-- name: forget_exporter
-- The account's members may still fetch what was asked for.
UPDATE accounts_export SET made_by = '' WHERE made_by = ANY (:credentials::text[])

-- name: delete_person
-- With memberships and narrowed roles, tokens, sessions, devices, factors, links, invitations made.
DELETE FROM accounts_user WHERE id = :user

-- name: note_gone
UPDATE accounts_departure
   SET gone_at = :now, credentials = :credentials, error = ''
 WHERE "user" = :user

-- name: put_off
UPDATE accounts_departure
   SET next_at = now() + make_interval(secs => :seconds), attempts = attempts + 1, error = :error
 WHERE "user" = :user

-- name: end
DELETE FROM accounts_departure WHERE "user" = :user AND gone_at IS NOT NULL
