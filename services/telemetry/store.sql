-- ── what is kept, by the leader ──────────────────────────────────────────────────────────────

-- name: places
SELECT shard, sequence, time FROM telemetry_place

-- name: set_place
INSERT INTO telemetry_place (shard, sequence, time) VALUES (:shard, :sequence, :time)
ON CONFLICT (shard) DO UPDATE SET sequence = excluded.sequence, time = excluded.time

-- name: share_lock
-- With those who delete: they wait for what is being kept, and it for them.
SELECT pg_advisory_xact_lock_shared(:lock)

-- name: lock
SELECT pg_advisory_xact_lock(:lock)

-- name: gone
SELECT asked.id FROM unnest(:ids::text[]) AS asked (id)
  JOIN telemetry_gone AS g ON g.digest = sha256(convert_to(asked.id, 'UTF8'))

-- name: known_series
SELECT id, key FROM telemetry_series WHERE key = ANY(:keys)

-- name: add_devices
INSERT INTO telemetry_device (device, account, project)
SELECT * FROM unnest(:devices::text[], :accounts::text[], :projects::text[])
ON CONFLICT (device) DO NOTHING

-- name: count_of_devices
SELECT device, series FROM telemetry_device WHERE device = ANY(:devices) FOR UPDATE

-- name: add_series
INSERT INTO telemetry_series
       (account, project, device, type, name, labels, counter, key, first_at, last_at)
SELECT account, project, device, type, name, labels::jsonb, counter, key, now(), now()
  FROM unnest(:accounts::text[], :projects::text[], :devices::text[], :types::text[],
              :names::text[], :labels::text[], :counters::boolean[], :keys::bytea[])
       AS new (account, project, device, type, name, labels, counter, key)
RETURNING id, key

-- name: count_series
UPDATE telemetry_device AS d SET series = d.series + new.count
  FROM unnest(:devices::text[], :counts::integer[]) AS new (device, count)
 WHERE d.device = new.device

-- name: refuse
UPDATE telemetry_device AS d SET refused = d.refused + new.count, refused_at = now()
  FROM unnest(:devices::text[], :counts::bigint[]) AS new (device, count)
 WHERE d.device = new.device
RETURNING d.device, d.refused - new.count AS before

-- name: add_samples
-- COPY would be faster by a little, and Postgres has none for tables with row-level security.
INSERT INTO telemetry_sample (account, series, at, value)
SELECT account, series, timestamptz 'epoch' + micros * interval '1 microsecond', value
  FROM unnest(:accounts::text[], :series::bigint[], :times::bigint[], :values::float8[])
       AS new (account, series, micros, value)

-- name: add_due
INSERT INTO telemetry_due (device, hour, account)
SELECT device, to_timestamp(hour), account
  FROM unnest(:devices::text[], :hours::bigint[], :accounts::text[]) AS new (device, hour, account)
ON CONFLICT (device, hour) DO NOTHING

-- ── rolling up ───────────────────────────────────────────────────────────────────────────────

-- name: next_hour
SELECT hour FROM telemetry_due WHERE hour < :before ORDER BY hour LIMIT 1

-- name: take_due
DELETE FROM telemetry_due
 WHERE (device, hour) IN (
       SELECT device, hour FROM telemetry_due WHERE hour = :hour LIMIT :limit
       FOR UPDATE SKIP LOCKED)
RETURNING device

-- name: roll_up
-- All of an hour anew, from its samples: late ones and repetitions come out right. What a counter
-- grew by since the sample before counts where the later one is; after a reset it grew from zero.
WITH raw AS MATERIALIZED (
    SELECT s.account, s.id AS series, p.at, p.value, s.counter,
           lag(p.value) OVER (PARTITION BY s.id ORDER BY p.at) AS before
      FROM telemetry_series AS s
      JOIN telemetry_sample AS p ON p.series = s.id
     WHERE s.device = ANY(:devices)
       AND NOT EXISTS (SELECT FROM telemetry_gone AS g
                        WHERE g.digest IN (sha256(convert_to(s.device, 'UTF8')),
                                           sha256(convert_to(s.project, 'UTF8')),
                                           sha256(convert_to(s.account, 'UTF8'))))
       AND p.at >= :hour::timestamptz - interval '1 hour'
       AND p.at < :hour::timestamptz + interval '1 hour'
), kept AS MATERIALIZED (
    SELECT account, series, at, value,
           CASE WHEN NOT counter OR before IS NULL THEN 0
                WHEN value >= before THEN value - before
                ELSE value END AS increase
      FROM raw WHERE at >= :hour
), fine AS (
    INSERT INTO telemetry_fine (account, series, at, count, min, max, sum, last, increase)
    SELECT min(account), series, date_bin('5 minutes', at, timestamptz 'epoch'), count(*),
           min(value), max(value), sum(value),
           (array_agg(value ORDER BY at DESC))[1], sum(increase)
      FROM kept GROUP BY series, 3
    ON CONFLICT (series, at) DO UPDATE
       SET count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum,
           last = excluded.last, increase = excluded.increase
), coarse AS (
    INSERT INTO telemetry_coarse (account, series, at, count, min, max, sum, last, increase)
    SELECT min(account), series, :hour, count(*), min(value), max(value), sum(value),
           (array_agg(value ORDER BY at DESC))[1], sum(increase)
      FROM kept GROUP BY series
    ON CONFLICT (series, at) DO UPDATE
       SET count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum,
           last = excluded.last, increase = excluded.increase
)
UPDATE telemetry_series AS s SET last_at = greatest(s.last_at, newest.at)
  FROM (SELECT series, max(at) AS at FROM kept GROUP BY series) AS newest
 WHERE s.id = newest.series

-- ── upkeep ───────────────────────────────────────────────────────────────────────────────────

-- name: cover
SELECT telemetry_cover(ARRAY(
    SELECT day::date FROM generate_series(:first::date, :last::date, interval '1 day') AS day))

-- name: shed
SELECT telemetry_shed(:samples, :fine, :coarse)

-- name: drop_stale_series
WITH gone AS (
    DELETE FROM telemetry_series WHERE last_at < :before RETURNING device
), counted AS (
    SELECT device, count(*)::integer AS count FROM gone GROUP BY device
)
UPDATE telemetry_device AS d SET series = greatest(0, d.series - counted.count)
  FROM counted WHERE d.device = counted.device

-- name: drop_due
DELETE FROM telemetry_due WHERE hour < :before

-- name: drop_gone
DELETE FROM telemetry_gone WHERE at < :before

-- ── deleting ─────────────────────────────────────────────────────────────────────────────────

-- name: add_gone
INSERT INTO telemetry_gone (digest)
SELECT sha256(convert_to(id, 'UTF8')) FROM unnest(:ids::text[]) AS new (id)
ON CONFLICT (digest) DO NOTHING

-- name: some_series
SELECT id FROM telemetry_series
 WHERE account = :account AND (account = ANY(:ids) OR project = ANY(:ids) OR device = ANY(:ids))
 ORDER BY id LIMIT :limit

-- name: delete_samples
DELETE FROM telemetry_sample WHERE account = :account AND series = ANY(:series)

-- name: delete_fine
DELETE FROM telemetry_fine WHERE account = :account AND series = ANY(:series)

-- name: delete_coarse
DELETE FROM telemetry_coarse WHERE account = :account AND series = ANY(:series)

-- name: delete_series
DELETE FROM telemetry_series WHERE account = :account AND id = ANY(:series)

-- name: delete_due
DELETE FROM telemetry_due AS t USING telemetry_device AS d
 WHERE t.device = d.device AND d.account = :account
   AND (d.account = ANY(:ids) OR d.project = ANY(:ids) OR d.device = ANY(:ids))

-- name: delete_devices
DELETE FROM telemetry_device
 WHERE account = :account
   AND (account = ANY(:ids) OR project = ANY(:ids) OR device = ANY(:ids))

-- ── of an account ────────────────────────────────────────────────────────────────────────────

-- name: count
SELECT count(*) FROM telemetry_series WHERE account = :account

-- name: export
-- What was measured, by the hour: each line is an hour of a series.
SELECT jsonb_build_object(
           'project', s.project, 'device', s.device, 'type', s.type, 'name', s.name,
           'labels', s.labels, 'at', c.at, 'count', c.count, 'min', c.min, 'max', c.max,
           'sum', c.sum, 'last', c.last, 'increase', c.increase) AS record
  FROM telemetry_coarse AS c JOIN telemetry_series AS s ON s.id = c.series
 WHERE c.account = :account AND s.account = :account
 ORDER BY c.series, c.at LIMIT :limit OFFSET :offset

-- ── to be read ───────────────────────────────────────────────────────────────────────────────

-- name: list_series
-- With the last value of each, where there is one of the last day.
SELECT s.id, s.type, s.name, s.labels, s.counter, newest.at AS last_at, newest.value AS last
  FROM telemetry_series AS s
  LEFT JOIN LATERAL (
       SELECT p.at, p.value FROM telemetry_sample AS p
        WHERE p.account = :account AND p.series = s.id AND p.at > now() - interval '1 day'
        ORDER BY p.at DESC LIMIT 1) AS newest ON true
 WHERE s.account = :account AND s.project = :project AND s.device = :device
   AND (:name = '' OR s.name = :name) AND (:type = '' OR s.type = :type)
   AND s.id > :after
 ORDER BY s.id LIMIT :limit

-- name: list_metrics
SELECT s.name, s.type, bool_or(s.counter) AS counter, count(DISTINCT s.device)::integer AS devices,
       count(*)::integer AS series
  FROM telemetry_series AS s
 WHERE s.account = :account AND s.project = :project
   AND (:name = '' OR s.name = :name) AND (:type = '' OR s.type = :type)
 GROUP BY s.name, s.type ORDER BY s.name, s.type LIMIT :limit OFFSET :after

-- name: series_of_metric
SELECT s.id FROM telemetry_series AS s
 WHERE s.account = :account AND s.project = :project AND s.name = :name AND s.type = :type
 ORDER BY s.id LIMIT :limit

-- name: recent
SELECT s.id AS number, s.device, s.labels, min(p.value) AS least, max(p.value) AS most,
       (array_agg(p.value ORDER BY p.at DESC))[1] AS newest, max(p.at) AS newest_at
  FROM telemetry_series AS s JOIN telemetry_sample AS p ON p.series = s.id
 WHERE s.account = :account AND s.project = :project AND s.name = :name AND s.id > :after
   AND p.account = :account AND p.at >= :since AND p.at <= :until
 GROUP BY s.id, s.device, s.labels
 ORDER BY s.id
 LIMIT :limit

-- name: points
-- What the steps of some series come to, from the finest that is needed: 0 the samples, 300 and
-- 3600 the rollups; what is not rolled up yet, or again, comes from the samples.
WITH wanted AS MATERIALIZED (
    SELECT s.id, s.device, s.counter FROM telemetry_series AS s
     WHERE s.account = :account AND s.id = ANY(:series)
), fresh AS MATERIALIZED (
    SELECT w.id, w.counter, d.hour FROM wanted AS w JOIN telemetry_due AS d ON d.device = w.device
     WHERE :source <> 0 AND d.account = :account
       AND d.hour > :start::timestamptz - interval '1 hour' AND d.hour < :stop
     UNION ALL
    SELECT w.id, w.counter, hour FROM wanted AS w,
           generate_series(date_trunc('hour', :start::timestamptz), :stop, interval '1 hour') AS hour
     WHERE :source = 0 AND hour < :stop
), rolled AS (
    SELECT f.series, f.at, f.count, f.min, f.max, f.sum, f.increase
      FROM telemetry_fine AS f
     WHERE :source = 300 AND f.account = :account AND f.series = ANY(:series)
       AND f.at >= :start AND f.at < :stop
     UNION ALL
    SELECT c.series, c.at, c.count, c.min, c.max, c.sum, c.increase
      FROM telemetry_coarse AS c
     WHERE :source = 3600 AND c.account = :account AND c.series = ANY(:series)
       AND c.at >= :start AND c.at < :stop
), raw AS (
    SELECT f.id AS series, p.at, p.value, f.counter, f.hour,
           lag(p.value) OVER (PARTITION BY f.id, f.hour ORDER BY p.at) AS before
      FROM fresh AS f
      JOIN telemetry_sample AS p
        ON p.series = f.id AND p.at >= f.hour - interval '1 hour'
       AND p.at < f.hour + interval '1 hour'
     WHERE p.account = :account
       AND p.at >= :start::timestamptz - interval '2 hours' AND p.at < :stop
), parts AS (
    SELECT r.series, r.at, r.count, r.min, r.max, r.sum, r.increase FROM rolled AS r
     WHERE NOT EXISTS (SELECT FROM fresh AS f
                        WHERE f.id = r.series AND f.hour = date_trunc('hour', r.at))
     UNION ALL
    SELECT series, at, 1, value, value, value,
           CASE WHEN NOT counter OR before IS NULL THEN 0
                WHEN value >= before THEN value - before
                ELSE value END
      FROM raw WHERE at >= hour AND at >= :start
)
SELECT CASE WHEN :together THEN 0 ELSE series END AS series,
       date_bin(make_interval(secs => :step), at, timestamptz 'epoch') AS at,
       sum(count)::bigint AS count, min(min) AS min, max(max) AS max, sum(sum) AS sum,
       sum(increase) AS increase
  FROM parts GROUP BY 1, 2 ORDER BY 1, 2
