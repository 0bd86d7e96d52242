-- Each series of a device, once. `key` is a digest of device, type, name and labels: those may be
-- longer than an index holds. `last_at` is to within an hour.
CREATE TABLE telemetry_series (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    project text NOT NULL,
    device text NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    labels jsonb NOT NULL,
    counter boolean NOT NULL,
    key bytea NOT NULL UNIQUE,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL
);
CREATE INDEX telemetry_series_device ON telemetry_series (account, device, name);
CREATE INDEX telemetry_series_project ON telemetry_series (account, project, name);

-- How many series a device has, and how many of its samples had none because it has too many.
CREATE TABLE telemetry_device (
    device text PRIMARY KEY,
    account text NOT NULL,
    project text NOT NULL,
    series integer NOT NULL DEFAULT 0 CHECK (series >= 0),
    refused bigint NOT NULL DEFAULT 0,
    refused_at timestamptz
);
CREATE INDEX telemetry_device_account ON telemetry_device (account);

-- By day. Tenants see their own by the account; which projects are hidden, telemetry_series says.
CREATE TABLE telemetry_sample (
    account text NOT NULL,
    series bigint NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX telemetry_sample_series ON telemetry_sample (series, at);

-- By month: what 5 minutes, and an hour, of a series come to. `increase` is that of a counter.
CREATE TABLE telemetry_fine (
    account text NOT NULL,
    series bigint NOT NULL,
    at timestamptz NOT NULL,
    count integer NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum double precision NOT NULL,
    last double precision NOT NULL,
    increase double precision NOT NULL,
    PRIMARY KEY (series, at)
) PARTITION BY RANGE (at);
CREATE TABLE telemetry_coarse (
    account text NOT NULL,
    series bigint NOT NULL,
    at timestamptz NOT NULL,
    count integer NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum double precision NOT NULL,
    last double precision NOT NULL,
    increase double precision NOT NULL,
    PRIMARY KEY (series, at)
) PARTITION BY RANGE (at);

-- Hours of devices of which samples came since they were rolled up.
CREATE TABLE telemetry_due (
    device text NOT NULL,
    hour timestamptz NOT NULL,
    account text NOT NULL,
    PRIMARY KEY (device, hour)
);
CREATE INDEX telemetry_due_hour ON telemetry_due (hour);

-- Accounts, projects and devices that were deleted, by SHA-256 of their ids: what is still on its way
-- of them is not kept.
CREATE TABLE telemetry_gone (
    digest bytea PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

-- How far each shard of the relay's metric streams has been kept.
CREATE TABLE telemetry_place (
    shard integer PRIMARY KEY,
    sequence bigint NOT NULL,
    time bigint NOT NULL
);

-- The roles that the hub works in own no tables, and so can make no partitions: these two functions
-- do, with the rights of the owner, and nothing else. A partition has forced row-level security and
-- no rights on it for anybody: it is reached through its table, under that one's policies.
CREATE FUNCTION telemetry_cover(days date[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '5s'
SET timezone = 'UTC'
AS $$
DECLARE
    wanted record;
    made integer := 0;
BEGIN
    FOR wanted IN
        SELECT DISTINCT part.parent, part.parent || to_char(part.start, part.pattern) AS name,
               part.start, part.start + part.length AS stop
          FROM unnest(days) AS day,
               LATERAL (VALUES
                   ('telemetry_sample', '_YYYYMMDD', day::timestamptz, interval '1 day'),
                   ('telemetry_fine', '_YYYYMM', date_trunc('month', day::timestamptz),
                    interval '1 month'),
                   ('telemetry_coarse', '_YYYYMM', date_trunc('month', day::timestamptz),
                    interval '1 month')
               ) AS part (parent, pattern, start, length)
    LOOP
        CONTINUE WHEN to_regclass('public.' || wanted.name) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE'
            ' public.%I (LIKE public.%I)', wanted.name, wanted.parent
        );
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', wanted.name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', wanted.name);
        -- Unlike CREATE … PARTITION OF, this lets others read and write the table meanwhile.
        EXECUTE format(
            'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            wanted.parent, wanted.name, wanted.start, wanted.stop
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drop the partitions that end at these times or before.
CREATE FUNCTION telemetry_shed(samples timestamptz, fine timestamptz, coarse timestamptz)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '5s'
SET timezone = 'UTC'
AS $$
DECLARE
    old record;
    dropped integer := 0;
BEGIN
    FOR old IN
        SELECT part.relname AS name
          FROM (VALUES ('telemetry_sample', samples, interval '1 day', 'YYYYMMDD'),
                       ('telemetry_fine', fine, interval '1 month', 'YYYYMM'),
                       ('telemetry_coarse', coarse, interval '1 month', 'YYYYMM')
               ) AS kept (parent, before, length, pattern)
          JOIN pg_inherits AS link ON link.inhparent = ('public.' || kept.parent)::regclass
          JOIN pg_class AS part ON part.oid = link.inhrelid
         WHERE to_timestamp(substr(part.relname, length(kept.parent) + 2), kept.pattern)
               + kept.length <= kept.before
    LOOP
        EXECUTE format('DROP TABLE public.%I', old.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION telemetry_cover(date[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION telemetry_shed(timestamptz, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry_cover(date[]) TO isaax_system;
GRANT EXECUTE ON FUNCTION telemetry_shed(timestamptz, timestamptz, timestamptz) TO isaax_system;

SELECT telemetry_cover(ARRAY(SELECT current_date + day FROM generate_series(-1, 2) AS day));
