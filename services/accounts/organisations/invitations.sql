-- name: waiting
SELECT count(*) FROM accounts_invitation WHERE account = :account

-- name: member_at
SELECT EXISTS (
    SELECT FROM accounts_member AS m JOIN accounts_user AS u ON u.id = m."user"
     WHERE m.account = :account AND u.email = :email)

-- name: role_at
SELECT role FROM accounts_invitation WHERE account = :account AND email = :email

-- name: replace
DELETE FROM accounts_invitation WHERE account = :account AND email = :email

-- name: add
INSERT INTO accounts_invitation
    (id, account, email, role, locale, invited_by, digest, expires_at)
VALUES (:id, :account, :email, :role, :locale, nullif(:by::text, ''), :digest,
        now() + make_interval(secs => :seconds))

-- name: list
SELECT id, number, email, role, locale, coalesce(invited_by, '') AS invited_by, version,
       created_at, sent_at, expires_at,
       CASE WHEN expires_at > now() THEN 'waiting' ELSE 'expired' END AS state
  FROM accounts_invitation
 WHERE account = :account AND number > :after
 ORDER BY number
 LIMIT :limit

-- name: get
SELECT id, number, email, role, locale, coalesce(invited_by, '') AS invited_by, version,
       created_at, sent_at, expires_at,
       CASE WHEN expires_at > now() THEN 'waiting' ELSE 'expired' END AS state
  FROM accounts_invitation
 WHERE id = :invitation AND account = :account

-- name: renew
UPDATE accounts_invitation
   SET digest = :digest, sent_at = now(), version = version + 1,
       expires_at = now() + make_interval(secs => :seconds)
 WHERE id = :invitation AND account = :account

-- name: withdraw
DELETE FROM accounts_invitation WHERE id = :invitation AND account = :account

-- name: withdraw_of
-- Those that somebody made and could not make any more.
DELETE FROM accounts_invitation
 WHERE account = :account AND invited_by = :user AND role = ANY (:roles::text[])

-- name: of_link
SELECT i.account, a.name, coalesce(u.name, a.name) AS inviter, i.email, i.role,
       EXISTS (SELECT FROM accounts_user AS k
                WHERE k.email = i.email AND k.verified_at IS NOT NULL) AS known
  FROM accounts_invitation AS i
  JOIN accounts_account AS a ON a.id = i.account
  LEFT JOIN accounts_user AS u ON u.id = i.invited_by
 WHERE i.digest = :digest AND i.expires_at > now()

-- name: use
-- Whoever deletes it has accepted it: of many at once, one.
DELETE FROM accounts_invitation
 WHERE digest = :digest AND expires_at > now()
RETURNING role

-- name: join
INSERT INTO accounts_member (account, "user", role) VALUES (:account, :user, :role)
ON CONFLICT (account, "user") DO NOTHING

-- name: inviter
SELECT a.name AS account, coalesce(u.name, a.name) AS inviter, coalesce(u.email, '') AS email
  FROM accounts_account AS a
  LEFT JOIN accounts_user AS u ON u.id = :by
 WHERE a.id = :account
