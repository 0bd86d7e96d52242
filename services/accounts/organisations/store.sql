-- People belong to no account, so what joins them is for the hub's own transactions alone.

-- name: list_accounts
SELECT a.id, m.number, a.name, a.require_second_factor, m.role, a.version, a.created_at,
       a.updated_at
  FROM accounts_member AS m
  JOIN accounts_account AS a ON a.id = m.account
 WHERE m."user" = :user AND m.number > :after
 ORDER BY m.number
 LIMIT :limit

-- name: get_account
-- A token that no person made stands for the account, and so for its owner.
SELECT a.id, coalesce(m.number, 0) AS number, a.name, a.require_second_factor,
       coalesce(m.role, 'owner') AS role, a.version, a.created_at, a.updated_at
  FROM accounts_account AS a
  LEFT JOIN accounts_member AS m ON m.account = a.id AND m."user" = :by
 WHERE a.id = :account AND (:by::text = '' OR m.role IS NOT NULL)

-- name: lock_account
-- Whoever changes members holds this row: rules about all of them are then exact.
SELECT version, EXISTS (SELECT FROM accounts_deletion WHERE account = :account) AS closing
  FROM accounts_account
 WHERE id = :account
   FOR UPDATE

-- name: add_account
INSERT INTO accounts_account (id, name) VALUES (:account, :name)

-- name: owned
SELECT count(*) FROM accounts_member WHERE "user" = :user AND role = 'owner'

-- name: lock_person
SELECT id FROM accounts_user WHERE id = :user FOR UPDATE

-- name: leaves
SELECT EXISTS (SELECT FROM accounts_departure WHERE "user" = :user)

-- name: requires_factor
SELECT require_second_factor FROM accounts_account WHERE id = :account

-- name: change_account
UPDATE accounts_account
   SET name = :name, require_second_factor = :required, version = version + 1, updated_at = now()
 WHERE id = :account

-- name: has_factor
SELECT EXISTS (SELECT FROM accounts_totp WHERE "user" = :user AND confirmed_at IS NOT NULL)
       OR EXISTS (SELECT FROM accounts_passkey WHERE "user" = :user)

-- name: members_without_factor
SELECT u.id AS "user", u.email, u.locale
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
 WHERE m.account = :account
   AND NOT EXISTS (SELECT FROM accounts_totp AS t
                    WHERE t."user" = u.id AND t.confirmed_at IS NOT NULL)
   AND NOT EXISTS (SELECT FROM accounts_passkey AS k WHERE k."user" = u.id)
 ORDER BY m.number

-- name: list_members
SELECT m."user", m.number, u.name, u.email, m.role, m.version, m.joined_at
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
 WHERE m.account = :account AND m.number > :after
 ORDER BY m.number
 LIMIT :limit

-- name: get_member
SELECT m."user", m.number, u.name, u.email, m.role, m.version, m.joined_at
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
 WHERE m.account = :account AND m."user" = :user

-- name: role_of
SELECT role, version FROM accounts_member WHERE account = :account AND "user" = :user

-- name: other_owners
-- Those who stay.
SELECT count(*)
  FROM accounts_member AS m
 WHERE m.account = :account AND m.role = 'owner' AND m."user" <> :user
   AND NOT EXISTS (SELECT FROM accounts_departure AS d WHERE d."user" = m."user")

-- name: add_member
INSERT INTO accounts_member (account, "user", role) VALUES (:account, :user, :role)

-- name: change_role
UPDATE accounts_member
   SET role = :role, version = version + 1
 WHERE account = :account AND "user" = :user

-- name: remove_member
DELETE FROM accounts_member WHERE account = :account AND "user" = :user

-- name: revoke_tokens
-- Of somebody who leaves: they would come to life again with the membership.
UPDATE accounts_api_token
   SET revoked_at = now()
 WHERE account = :account AND "user" = :user AND revoked_at IS NULL

-- name: withdraw_offers
-- Of ownership, by somebody who is no owner any more.
DELETE FROM accounts_transfer WHERE account = :account AND giver = :user

-- name: list_project_members
SELECT m."user", m.number, u.name, u.email, m.role AS account_role, n.role AS narrowed,
       m.version AS member_version
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
  LEFT JOIN accounts_narrowed AS n
         ON n.account = m.account AND n."user" = m."user" AND n.project = :project
 WHERE m.account = :account AND m.number > :after
 ORDER BY m.number
 LIMIT :limit

-- name: get_project_member
SELECT m."user", m.number, u.name, u.email, m.role AS account_role, n.role AS narrowed,
       m.version AS member_version
  FROM accounts_member AS m
  JOIN accounts_user AS u ON u.id = m."user"
  LEFT JOIN accounts_narrowed AS n
         ON n.account = m.account AND n."user" = m."user" AND n.project = :project
 WHERE m.account = :account AND m."user" = :user

-- name: narrowed_to
SELECT role FROM accounts_narrowed
 WHERE account = :account AND project = :project AND "user" = :user

-- name: narrow
INSERT INTO accounts_narrowed (account, project, "user", role)
VALUES (:account, :project, :user, :role)
ON CONFLICT (project, "user") DO UPDATE SET role = excluded.role

-- name: widen
DELETE FROM accounts_narrowed
 WHERE account = :account AND project = :project AND "user" = :user

-- name: widen_everywhere
DELETE FROM accounts_narrowed WHERE account = :account AND "user" = :user

-- name: forget_project
DELETE FROM accounts_narrowed WHERE account = :account AND project = :project
