-- name: add_link
INSERT INTO accounts_link (digest, kind, "user", data, expires_at)
VALUES (:digest, :kind, :user, :data, now() + make_interval(secs => :seconds))

-- name: get_link
SELECT l."user", l.data, u.email
  FROM accounts_link AS l
  JOIN accounts_user AS u ON u.id = l."user"
 WHERE l.digest = :digest AND l.kind = :kind AND l.expires_at > now()
   AND u.suspended_at IS NULL

-- name: take_link
-- Of many at once one gets it; should its hub die at work, it is good again afterwards.
UPDATE accounts_link AS l
   SET taken_until = now() + make_interval(secs => :seconds)
  FROM accounts_user AS u
 WHERE l.digest = :digest AND l.kind = :kind AND l.expires_at > now()
   AND (l.taken_until IS NULL OR l.taken_until <= now())
   AND u.id = l."user" AND u.suspended_at IS NULL
RETURNING l."user", l.data, u.email

-- name: give_link_back
UPDATE accounts_link SET taken_until = NULL WHERE digest = :digest

-- name: use_link
-- Whoever deletes it has used it: of many at once, one.
DELETE FROM accounts_link WHERE digest = :digest AND kind = :kind AND expires_at > now()

-- name: void_links
DELETE FROM accounts_link WHERE "user" = :user AND kind = ANY (:kinds::text[])
