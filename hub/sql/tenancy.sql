-- Row-level security for every table, by construction: hub/tenancy.py runs this with migrations.
--
-- isaax_tenant sees the rows of one account (the setting isaax.account of its transaction) and in
-- them none of the projects that isaax.hidden lists; isaax_system sees all rows. Neither owns a
-- table, and the owner, who runs the migrations, has no policy: forced security binds it, too.

-- name: roles
SELECT wanted.name AS name,
       EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) AS exists,
       EXISTS (SELECT FROM pg_auth_members AS m
                 JOIN pg_roles AS of ON of.oid = m.roleid
                 JOIN pg_roles AS who ON who.oid = m.member
                WHERE of.rolname = wanted.name AND who.rolname = current_user) AS granted
  FROM (VALUES ('isaax_tenant'), ('isaax_system')) AS wanted (name)

-- name: tables
-- What a table is scoped by, and which policies and grants it has so far.
SELECT c.relname AS name,
       EXISTS (SELECT FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attname = 'account' AND NOT a.attisdropped)
           AS account,
       EXISTS (SELECT FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attname = 'project' AND NOT a.attisdropped)
           AS project,
       c.relrowsecurity AND c.relforcerowsecurity AS forced,
       ARRAY (SELECT p.polname::text FROM pg_policy AS p WHERE p.polrelid = c.oid
               ORDER BY p.polname) AS policies,
       EXISTS (SELECT FROM pg_policy AS p
                WHERE p.polrelid = c.oid AND p.polname = 'tenant'
                  AND pg_get_expr(p.polqual, p.polrelid) LIKE '%isaax.hidden%') AS blinded,
       ARRAY (SELECT g.grantee::regrole || ':' || g.privilege_type
                FROM aclexplode(c.relacl) AS g
               WHERE g.grantee::regrole::text IN ('isaax_tenant', 'isaax_system')) AS granted
  FROM pg_class AS c
 WHERE c.relnamespace = 'public'::regnamespace
   AND c.relkind IN ('r', 'p')
   -- A partition is reached through its table, under that one's policies: nobody has rights on it.
   AND NOT c.relispartition
   AND pg_get_userbyid(c.relowner) = current_user
   AND c.relname <> 'schema_migrations'
 ORDER BY c.relname
