-- name: heard
-- 1 for a telling that was not heard before.
INSERT INTO devices_data_meter AS old (meter, number) VALUES (:meter, :number)
ON CONFLICT (meter) DO UPDATE SET number = excluded.number, at = now()
 WHERE old.number < excluded.number

-- name: note
-- In one order for everybody: two meters that tell of the same wait for each other, and never both.
WITH new AS (
    SELECT d.account, d.project, d.id AS device, n.day, n.up_messages, n.up_bytes,
           n.down_messages, n.down_bytes
      FROM unnest(:devices::text[], :days::date[], :up_messages::bigint[], :up_bytes::bigint[],
                  :down_messages::bigint[], :down_bytes::bigint[])
           AS n (device, day, up_messages, up_bytes, down_messages, down_bytes)
      JOIN devices_device AS d ON d.id = n.device
), of_devices AS (
    INSERT INTO devices_data AS old
           (account, project, device, day, up_messages, up_bytes, down_messages, down_bytes)
    SELECT account, project, device, day, up_messages, up_bytes, down_messages, down_bytes
      FROM new ORDER BY device, day
    ON CONFLICT (device, day) DO UPDATE
       SET up_messages = old.up_messages + excluded.up_messages,
           up_bytes = old.up_bytes + excluded.up_bytes,
           down_messages = old.down_messages + excluded.down_messages,
           down_bytes = old.down_bytes + excluded.down_bytes
)
INSERT INTO devices_data_project AS old
       (account, project, day, up_messages, up_bytes, down_messages, down_bytes)
SELECT account, project, day, sum(up_messages), sum(up_bytes), sum(down_messages), sum(down_bytes)
  FROM new GROUP BY account, project, day ORDER BY account, project, day
ON CONFLICT (account, project, day) DO UPDATE
   SET up_messages = old.up_messages + excluded.up_messages,
       up_bytes = old.up_bytes + excluded.up_bytes,
       down_messages = old.down_messages + excluded.down_messages,
       down_bytes = old.down_bytes + excluded.down_bytes

-- name: drop_old
WITH meters AS (DELETE FROM devices_data_meter WHERE at < now() - interval '30 days'),
     projects AS (DELETE FROM devices_data_project WHERE day < :before)
DELETE FROM devices_data WHERE day < :before

-- name: of_device
SELECT day, up_messages, up_bytes, down_messages, down_bytes
  FROM devices_data
 WHERE account = :account AND device = :device AND day BETWEEN :since AND :until
 ORDER BY day

-- name: of_project
SELECT day, up_messages, up_bytes, down_messages, down_bytes
  FROM devices_data_project
 WHERE account = :account AND project = :project AND day BETWEEN :since AND :until
 ORDER BY day

-- name: of_account
SELECT day, sum(up_messages)::bigint AS up_messages, sum(up_bytes)::bigint AS up_bytes,
       sum(down_messages)::bigint AS down_messages, sum(down_bytes)::bigint AS down_bytes
  FROM devices_data_project
 WHERE account = :account AND day BETWEEN :since AND :until
 GROUP BY day ORDER BY day

-- name: top
SELECT d.id AS device, d.label,
       coalesce(sum(u.up_messages), 0)::bigint AS up_messages,
       coalesce(sum(u.up_bytes), 0)::bigint AS up_bytes,
       coalesce(sum(u.down_messages), 0)::bigint AS down_messages,
       coalesce(sum(u.down_bytes), 0)::bigint AS down_bytes
  FROM devices_device AS d
  LEFT JOIN devices_data AS u
    ON u.device = d.id AND u.account = d.account AND u.day BETWEEN :since AND :until
 WHERE d.account = :account AND d.project = :project
 GROUP BY d.id, d.label
 ORDER BY coalesce(sum(u.up_bytes + u.down_bytes), 0) DESC, d.id
 LIMIT :limit OFFSET :after

-- name: export
SELECT jsonb_build_object(
           'project', project, 'device', device, 'day', day,
           'up_messages', up_messages, 'up_bytes', up_bytes,
           'down_messages', down_messages, 'down_bytes', down_bytes) AS record
  FROM devices_data
 WHERE account = :account
 ORDER BY device, day
 OFFSET :offset LIMIT :limit

-- name: export_projects
SELECT jsonb_build_object(
           'project', project, 'day', day, 'up_messages', up_messages, 'up_bytes', up_bytes,
           'down_messages', down_messages, 'down_bytes', down_bytes) AS record
  FROM devices_data_project
 WHERE account = :account
 ORDER BY project, day
 OFFSET :offset LIMIT :limit

-- name: delete_account
DELETE FROM devices_data_project WHERE account = :account
