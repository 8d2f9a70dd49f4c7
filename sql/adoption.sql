-- What is asked before a database is migrated. It may be one that this project has never seen.

-- name: home_schema
-- The schema with the variants that the session sees; where there are none, the one in which it creates tables.
SELECT coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.oid = to_regclass('jobs_variants')), current_schema()) AS home;

-- name: server_version
-- The version of the server, as a number and for people.
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS name;

-- name: schemas_with_variants
-- Every schema of the search_path that has a table of variants.
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'jobs_variants' AND n.nspname = ANY (current_schemas(false))
ORDER BY array_position(current_schemas(false), n.nspname);

-- name: may_create
-- Whether the role may create tables in the schema.
SELECT has_schema_privilege(:home, 'CREATE') AS may_create, current_user AS role;

-- name: tables_of_others
-- Tables that have to be altered, but whose owner is another role.
SELECT c.relname AS table_name, pg_get_userbyid(c.relowner) AS owner
FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :home) AND c.relkind IN ('r', 'p') AND c.relname = ANY (:tables)
  AND NOT pg_has_role(c.relowner, 'USAGE')
ORDER BY c.relname;

-- name: columns_of_other_types
-- Columns of a state whose type takes only some texts, such as an enum.
SELECT c.relname AS table_name, a.attname AS column_name, format_type(a.atttypid, NULL) AS type_name
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :home) AND c.relname IN ('jobs', 'jobs_variants')
  AND a.attname IN ('current_step', 'status') AND t.typcategory <> 'S'
ORDER BY c.relname, a.attname;

-- name: blocker
-- The session with the oldest transaction among those that hold a lock on one of the tables.
SELECT a.pid, a.usename, a.application_name, a.state, now() - a.xact_start AS since, left(a.query, 100) AS query
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND c.relname = ANY (:tables) AND a.pid <> pg_backend_pid()
ORDER BY a.xact_start LIMIT 1;

-- name: row_estimates
-- About how many rows each table has, and its size.
SELECT c.relname AS table_name, greatest(c.reltuples, 0)::bigint AS rows, pg_size_pretty(pg_total_relation_size(c.oid)) AS size
FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :home) AND c.relkind IN ('r', 'p') AND c.relname = ANY (:tables)
ORDER BY c.relname;

-- name: planned_triggers
-- The triggers of the predecessor that are dropped.
SELECT pg_get_triggerdef(t.oid) AS definition
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :home)
  AND (c.relname, p.proname) IN (
      ('jobs', 'notify_job_state_change'), ('jobs_variants', 'notify_job_variant_state_change'),
      ('jobs_variants', 'check_all_variants_done'), ('jobs_variants', 'update_job_status_from_variants'));

-- name: planned_states
-- The states of an old table of variants, what each becomes, and what is done with it. The columns may be missing.
WITH variants AS (
    SELECT row ->> 'job_id' AS job_id, row ->> 'img_asset_id' AS image,
           lower(btrim(coalesce(row ->> 'current_step', ''))) AS step,
           coalesce(nullif(lower(btrim(row ->> 'status')), ''), 'queued') AS status,
           (row ->> 'created_at')::timestamptz > now() - interval '1 day' * :adopt_start_days AS young
    FROM (SELECT to_jsonb(v) AS row FROM jobs_variants v) AS rows
), families AS (
    SELECT *, bool_or(step <> '') OVER (PARTITION BY job_id) AS with_steps FROM variants
), becoming AS (
    SELECT f.step, f.status, f.young,
           CASE WHEN inherits AND j.step IN ('feed_gen', 'ab_vote') THEN 'iou_eval'
                WHEN inherits THEN j.step
                WHEN f.step = 'vlm_planner' THEN 'planner'
                WHEN f.step = '' AND f.status <> 'done' THEN 'img_gen' ELSE f.step END AS new_step,
           CASE WHEN inherits AND j.step IN ('feed_gen', 'ab_vote') THEN 'done'
                WHEN inherits THEN j.status ELSE f.status END AS new_status
    FROM families f
    LEFT JOIN (SELECT job_id::text, replace(lower(btrim(current_step)), 'vlm_planner', 'planner') AS step,
                      coalesce(lower(btrim(status)), 'queued') AS status FROM jobs) j USING (job_id),
    LATERAL (SELECT coalesce(NOT f.with_steps AND f.image IS NOT NULL AND j.status = ANY (:statuses)
                             AND j.step = ANY (CAST(:stages AS text[]) || '{feed_gen,ab_vote}'::text[]), false)
                    AS inherits) AS rule
), fates AS (
    SELECT step, status, new_step, new_status,
           CASE WHEN new_status <> ALL (:statuses) OR new_step <> ALL (CAST(:stages AS text[]) || CAST(:other_steps AS text[]))
                    THEN 'unknown, kept aside'
                WHEN (new_step = ANY (:stages) AND (new_step, new_status) <> ('iou_eval', 'done') AND new_status <> 'failed')
                     OR (new_step, new_status) = ('img_gen', 'done')
                    THEN CASE WHEN young THEN 'starts' ELSE 'held' END
                ELSE 'stays' END AS fate
    FROM becoming
)
SELECT step, status, new_step, new_status, fate, count(*) AS variants
FROM fates GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 1, 2;
