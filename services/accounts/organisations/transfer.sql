-- name: get
SELECT giver, receiver, role, created_at, expires_at,
       extract(epoch FROM created_at)::text AS version
  FROM accounts_transfer
 WHERE account = :account AND expires_at > now()

-- name: offer
INSERT INTO accounts_transfer (account, giver, receiver, role, digest, expires_at)
VALUES (:account, :giver, :receiver, :role, :digest, now() + make_interval(secs => :seconds))

-- name: withdraw
DELETE FROM accounts_transfer WHERE account = :account

-- name: of_link
SELECT t.account, a.name, u.name AS giver
  FROM accounts_transfer AS t
  JOIN accounts_account AS a ON a.id = t.account
  JOIN accounts_user AS u ON u.id = t.giver
 WHERE t.digest = :digest AND t.expires_at > now()

-- name: use
-- Whoever deletes it has accepted it: of many at once, one.
DELETE FROM accounts_transfer
 WHERE account = :account AND expires_at > now()
   AND (:digest::bytea = ''::bytea OR digest = :digest)
RETURNING giver, receiver, role

-- name: person
SELECT id AS "user", name, email, locale FROM accounts_user WHERE id = :user

-- name: owners
SELECT u.id AS "user", u.name, u.email, u.locale
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
 WHERE m.account = :account AND m.role = 'owner'
 ORDER BY m.number

-- name: account_name
SELECT name FROM accounts_account WHERE id = :account
