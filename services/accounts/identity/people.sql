-- name: find_login
-- Somebody who logs in, and whether the device is one of theirs.
SELECT u.id, u.email, u.password, u.locale, u.verified_at IS NOT NULL AS verified,
       u.suspended_at IS NOT NULL AS suspended, d.id AS device,
       EXISTS (SELECT FROM accounts_device AS o WHERE o."user" = u.id) AS has_devices
  FROM accounts_user AS u
  LEFT JOIN accounts_device AS d ON d."user" = u.id AND d.digest = :device
 WHERE u.email = :email

-- name: find_person
SELECT id, email, name, locale, password, verified_at IS NOT NULL AS verified,
       suspended_at IS NOT NULL AS suspended
  FROM accounts_user
 WHERE email = :email
   FOR UPDATE

-- name: lock_person
SELECT id, email, name, locale, password, verified_at IS NOT NULL AS verified,
       suspended_at IS NOT NULL AS suspended
  FROM accounts_user
 WHERE id = :user
   FOR UPDATE

-- name: add_person
-- Two that sign up at once with one address: the second finds the first.
INSERT INTO accounts_user (id, email, name, locale, password)
VALUES (:id, :email, :name, :locale, :password)
    ON CONFLICT (email) DO NOTHING

-- name: replace_unverified
UPDATE accounts_user
   SET name = :name, locale = :locale, password = :password, updated_at = now(),
       version = version + 1
 WHERE id = :user AND verified_at IS NULL

-- name: verify
UPDATE accounts_user
   SET verified_at = now(), updated_at = now(), version = version + 1
 WHERE id = :user AND verified_at IS NULL

-- name: owns_account
SELECT EXISTS (
    SELECT FROM accounts_member WHERE "user" = :user AND role = 'owner')

-- name: add_owner
INSERT INTO accounts_member (account, "user", role) VALUES (:account, :user, 'owner')

-- name: accounts_of
SELECT account FROM accounts_member WHERE "user" = :user ORDER BY account

-- name: get_user
SELECT id, email, name, locale, version, created_at, updated_at
  FROM accounts_user
 WHERE id = :user

-- name: lock_user
SELECT id, email, name, locale, version, created_at, updated_at
  FROM accounts_user
 WHERE id = :user
   FOR UPDATE

-- name: change_user
UPDATE accounts_user
   SET name = :name, locale = :locale, updated_at = now(), version = version + 1
 WHERE id = :user
RETURNING id, email, name, locale, version, created_at, updated_at

-- name: set_password
UPDATE accounts_user
   SET password = :password, updated_at = now(), version = version + 1
 WHERE id = :user

-- name: hash_anew
-- The same password, kept in another way: nobody else sees a change.
UPDATE accounts_user SET password = :password WHERE id = :user AND password = :old

-- name: set_email
UPDATE accounts_user
   SET email = :email, updated_at = now(), version = version + 1
 WHERE id = :user
   AND NOT EXISTS (SELECT FROM accounts_user WHERE email = :email)

-- ── devices ──

-- name: add_device
INSERT INTO accounts_device (id, "user", digest) VALUES (:id, :user, :digest)

-- name: see_device
UPDATE accounts_device SET seen_at = now() WHERE id = :device

-- name: bound_devices
-- Those that were used again stay: a program that keeps no cookie is a new one each time.
DELETE FROM accounts_device
 WHERE "user" = :user
   AND id NOT IN (
       SELECT id FROM accounts_device
        WHERE "user" = :user
        ORDER BY seen_at > created_at DESC, seen_at DESC
        LIMIT :most)

-- name: devices_of
SELECT id FROM accounts_device WHERE "user" = :user

-- name: forget_devices
DELETE FROM accounts_device WHERE "user" = :user AND digest <> :keep
