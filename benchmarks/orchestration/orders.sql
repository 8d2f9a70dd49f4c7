-- name: complete_count
-- How many of the given variants are complete.
SELECT count(*) FROM jobs_variants
WHERE job_variants_id = ANY (CAST(:variants AS uuid[])) AND current_step = 'iou_eval' AND status = 'done';

-- name: failed_count
-- How many of the given variants have failed, which the benchmark does not expect.
SELECT count(*) FROM jobs_variants WHERE job_variants_id = ANY (CAST(:variants AS uuid[])) AND status = 'failed';

-- name: times_of_runs
-- When each variant was asked for, its run's row written and its run started, as seconds since 1970.
SELECT r.partition AS variant, extract(epoch FROM q.requested_at) AS picked_up_s,
       extract(epoch FROM r.create_timestamp AT TIME ZONE 'UTC') AS run_row_s, r.start_time AS started_s
FROM dagster.runs r LEFT JOIN variant_requests q ON q.job_variants_id::text = r.partition
WHERE r.partition = ANY (CAST(:variants AS text[]));

-- name: traffic
-- Connections opened to this database since it was made.
SELECT sessions FROM pg_stat_database WHERE datname = current_database();

-- name: log_all_statements
-- Of every session of the server, into its log; alone in its transaction, and in force after a reload.
ALTER SYSTEM SET log_statement = 'all';

-- name: log_no_statements
ALTER SYSTEM RESET log_statement;

-- name: reload_configuration
SELECT pg_reload_conf();

-- name: add_finished_variants
-- History: finished jobs of three finished variants; the triggers are off for this transaction.
WITH job AS (
    INSERT INTO jobs (tenant_id, current_step, status)
    SELECT :tenant, 'iou_eval', 'done' FROM generate_series(1, :variants / 3) RETURNING job_id
)
INSERT INTO jobs_variants (job_id, creation_order, current_step, status)
SELECT job_id, n, 'iou_eval', 'done' FROM job, generate_series(1, 3) n;

-- name: add_finished_runs
-- History: copies of one finished run, long ago.
INSERT INTO dagster.runs (run_id, snapshot_id, pipeline_name, mode, status, run_body, partition, partition_set,
                          create_timestamp, update_timestamp, start_time, end_time)
SELECT gen_random_uuid()::text, r.snapshot_id, r.pipeline_name, r.mode, 'SUCCESS', r.run_body, gen_random_uuid()::text,
       r.partition_set, r.create_timestamp - interval '1 day', r.update_timestamp - interval '1 day',
       r.start_time - 86400, r.end_time - 86400
FROM (SELECT * FROM dagster.runs WHERE status = 'SUCCESS' LIMIT 1) AS r, generate_series(1, :runs);

-- name: add_events
-- History: a materialization of each past run's variant, copied from one that happened.
INSERT INTO dagster.event_logs (run_id, event, dagster_event_type, "timestamp", step_key, asset_key, partition)
SELECT gen_random_uuid()::text, e.event, e.dagster_event_type, e."timestamp" - interval '1 day', e.step_key,
       e.asset_key, gen_random_uuid()::text
FROM (SELECT * FROM dagster.event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' LIMIT 1) AS e,
     generate_series(1, :events);

-- name: add_partitions
-- History: the partitions that retention keeps.
INSERT INTO dagster.dynamic_partitions (partitions_def_name, partition)
SELECT 'job_variants_id', gen_random_uuid()::text FROM generate_series(1, :partitions);

-- name: without_triggers
-- Until the end of the transaction.
SET LOCAL session_replication_role = replica;
