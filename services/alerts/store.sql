-- name: lock_project
-- Those who make rules of one project wait for each other: else more got in than may.
SELECT pg_advisory_xact_lock(hashtextextended(:project, 1095519841))

-- name: count_rules
SELECT count(*) FROM alerts_rule WHERE account = :account AND project = :project

-- name: add_rule
INSERT INTO alerts_rule (id, account, project, name, kind, device_group, severity, enabled,
                         minutes, metric, over, under, clear, device, stream, level)
VALUES (:id, :account, :project, :name, :kind, :group, :severity, :enabled, :minutes, :metric,
        :over, :under, :clear, :device, :stream, :level)
RETURNING id, number, account, project, name, kind, device_group AS "group", severity, enabled,
          minutes, metric, over, under, clear, device, stream, level, version, created_at,
          updated_at, 0 AS firing

-- name: get_rule
SELECT id, number, account, project, name, kind, device_group AS "group", severity, enabled,
       minutes, metric, over, under, clear, device, stream, level, version, created_at, updated_at,
       (SELECT count(*) FROM alerts_state AS s WHERE s.rule = r.id AND s.firing) AS firing
  FROM alerts_rule AS r WHERE id = :rule AND account = :account

-- name: lock_rule
SELECT version FROM alerts_rule WHERE id = :rule AND account = :account FOR UPDATE

-- name: list_rules
SELECT id, number, account, project, name, kind, device_group AS "group", severity, enabled,
       minutes, metric, over, under, clear, device, stream, level, version, created_at, updated_at,
       (SELECT count(*) FROM alerts_state AS s WHERE s.rule = r.id AND s.firing) AS firing
  FROM alerts_rule AS r
 WHERE account = :account AND project = :project AND number > :after
 ORDER BY number LIMIT :limit

-- name: change_rule
UPDATE alerts_rule
   SET name = :name, kind = :kind, device_group = :group, severity = :severity,
       enabled = :enabled, minutes = :minutes, metric = :metric, over = :over, under = :under,
       clear = :clear, device = :device, stream = :stream, level = :level,
       version = version + 1, updated_at = now()
 WHERE id = :rule AND account = :account

-- name: drop_states
-- Of a rule that changes, or ends: it begins anew.
DELETE FROM alerts_state WHERE rule = :rule AND account = :account

-- name: delete_rule
DELETE FROM alerts_rule WHERE id = :rule AND account = :account

-- name: list_events
SELECT number, rule, rule_name, device, host, subject, state, severity, text, at
  FROM alerts_event AS event
 WHERE account = :account AND project = :project
   AND (:before::bigint = 0 OR number < :before)
   AND (:rule::text = '' OR rule = :rule) AND (:device::text = '' OR device = :device)
   AND (NOT :firing::boolean OR number = (
        SELECT max(newest.number)
          FROM alerts_event AS newest
          JOIN alerts_state AS state
            ON state.rule = newest.rule AND state.device = newest.device
           AND state.subject = newest.subject AND state.firing
         WHERE newest.rule = event.rule AND newest.device = event.device
           AND newest.subject = event.subject))
 ORDER BY number DESC LIMIT :limit

-- name: delete_of_project
DELETE FROM alerts_rule WHERE account = :account AND project = :project

-- name: delete_ear_of_project
DELETE FROM alerts_ear WHERE account = :account AND project = :project

-- name: delete_ears_of_account
DELETE FROM alerts_ear WHERE account = :account

-- name: delete_events_of_project
DELETE FROM alerts_event WHERE account = :account AND project = :project

-- name: delete_of_account
DELETE FROM alerts_rule WHERE account = :account

-- name: delete_events_of_account
DELETE FROM alerts_event WHERE account = :account

-- name: count
SELECT count(*) FROM alerts_rule WHERE account = :account

-- name: export
SELECT jsonb_build_object(
           'id', id, 'project', project, 'name', name, 'kind', kind, 'group', device_group,
           'severity', severity, 'enabled', enabled, 'minutes', minutes, 'metric', metric,
           'over', over, 'under', under, 'clear', clear, 'device', device, 'stream', stream,
           'level', level, 'created_at', created_at) AS record
  FROM alerts_rule WHERE account = :account ORDER BY number LIMIT :limit OFFSET :offset

-- name: export_events
SELECT jsonb_build_object(
           'project', project, 'rule', rule, 'rule_name', rule_name, 'device', device,
           'subject', subject, 'state', state, 'text', text, 'at', at) AS record
  FROM alerts_event WHERE account = :account ORDER BY number LIMIT :limit OFFSET :offset

-- ── by the leader ────────────────────────────────────────────────────────────────────────────

-- name: enabled_rules
SELECT id, number, account, project, name, kind, device_group AS "group", severity, enabled,
       minutes, metric, over, under, clear, device, stream, level, version, created_at, updated_at,
       0 AS firing
  FROM alerts_rule WHERE enabled ORDER BY project, number

-- name: states
SELECT rule, device, subject, since, firing FROM alerts_state WHERE project = :project

-- name: keep_state
-- Not for a rule that was changed or deleted meanwhile.
INSERT INTO alerts_state (rule, device, subject, account, project, since, firing)
SELECT r.id, new.device, new.subject, r.account, r.project, new.since, new.firing
  FROM unnest(:rules::text[], :versions::bigint[], :devices::text[], :subjects::text[],
              :sinces::timestamptz[], :firings::boolean[])
       AS new (rule, version, device, subject, since, firing)
  JOIN alerts_rule AS r ON r.id = new.rule AND r.version = new.version
ON CONFLICT (rule, device, subject) DO UPDATE
   SET since = excluded.since, firing = excluded.firing

-- name: drop_state
DELETE FROM alerts_state AS s
 USING unnest(:rules::text[], :devices::text[], :subjects::text[]) AS old (rule, device, subject)
 WHERE s.rule = old.rule AND s.device = old.device AND s.subject = old.subject

-- name: add_event
INSERT INTO alerts_event (account, project, rule, rule_name, device, host, subject, state,
                          severity, text, at)
SELECT r.account, r.project, r.id, r.name, :device, :host, :subject, :state, :severity, :text, :at
  FROM alerts_rule AS r WHERE r.id = :rule AND r.version = :version

-- name: untold
-- Some of each project, so that one of which nothing can be told holds up no other.
SELECT number, project, host, severity, text, at
  FROM (SELECT *, row_number() OVER (PARTITION BY project ORDER BY number) AS place
          FROM alerts_event
         WHERE NOT told AND project <> ALL (:waiting::text[])) AS waiting
 WHERE place <= 100
 ORDER BY number

-- name: told
UPDATE alerts_event SET told = true WHERE number = ANY(:numbers)

-- name: drop_old_events
DELETE FROM alerts_event WHERE at < :before AND told

-- name: ear
SELECT since, until FROM alerts_ear WHERE project = :project

-- name: resume_ear
-- Begin to listen, or go on; times in which nobody listened count for nothing.
INSERT INTO alerts_ear AS ear (project, account, since, until)
VALUES (:project, :account, :now, :now)
ON CONFLICT (project) DO UPDATE
   SET since = least(ear.since + :deaf, :now::timestamptz), until = :now
RETURNING since, until

-- name: resume_heard
UPDATE alerts_heard SET at = least(at + :deaf, :now::timestamptz) WHERE project = :project

-- name: heard
SELECT device, stream, at FROM alerts_heard WHERE project = :project

-- name: keep_heard
-- Not of a project that was deleted meanwhile.
INSERT INTO alerts_heard AS old (project, device, stream, account, at)
SELECT ear.project, new.device, new.stream, ear.account, new.at
  FROM unnest(:devices::text[], :streams::text[], :ats::timestamptz[]) AS new (device, stream, at)
  JOIN alerts_ear AS ear ON ear.project = :project
ON CONFLICT (project, device, stream) DO UPDATE SET at = greatest(old.at, excluded.at)

-- name: keep_ear
WITH forgotten AS (DELETE FROM alerts_heard WHERE project = :project AND at < :forgotten)
UPDATE alerts_ear SET until = :until WHERE project = :project

-- name: drop_ears
DELETE FROM alerts_ear WHERE NOT project = ANY (:projects::text[])
