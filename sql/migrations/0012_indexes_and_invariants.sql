-- Nothing that a run, a tick, retention or a deletion asks walks through a big table any more. Nobody
-- completes a variant without its results. What must never be is a view.
--
-- The long texts in which retention asks for pictures may be longer than a B-tree takes, so their indexes are hash indexes.

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_with_variants_in_work_by_number ON jobs (pk)
    WHERE is_in_our_hands(current_step, status);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_running_by_number ON jobs_variants (state_revision)
    WHERE is_at_work(current_step, status) AND old_work IS NULL;

-- step: the indexes get their names
DROP INDEX idx_jobs_with_variants_in_work;
ALTER INDEX idx_jobs_with_variants_in_work_by_number RENAME TO idx_jobs_with_variants_in_work;
DROP INDEX idx_jobs_variants_running;
ALTER INDEX idx_jobs_variants_running_by_number RENAME TO idx_jobs_variants_running;
ALTER TABLE jobs_variants SET (fillfactor = 85);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_image_url ON image_assets USING hash (image_url);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_mask_url ON image_assets USING hash (mask_url)
    WHERE mask_url IS NOT NULL;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_job_id ON image_assets (job_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_image_assets_tenant_id ON image_assets (tenant_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_tenant_id ON jobs (tenant_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_job_inputs_img_asset_id ON job_inputs (img_asset_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_img_asset_id ON jobs_variants (img_asset_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_overlaid_img_asset_id
    ON jobs_variants (overlaid_img_asset_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_vlm_traces_job_variants_id ON vlm_traces (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_yolo_runs_job_variants_id ON yolo_runs (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_yolo_runs_forbidden_mask_url ON yolo_runs USING hash (forbidden_mask_url);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_planner_proposals_job_variants_id ON planner_proposals (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_planner_proposals_picture_url ON planner_proposals USING hash (picture_url);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_overlay_layouts_job_variants_id ON overlay_layouts (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_overlay_layouts_proposal_id ON overlay_layouts (proposal_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_evaluations_job_variants_id ON evaluations (job_variants_id);

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_evaluations_overlay_id ON evaluations (overlay_id);

-- step: what is asked and written, and what must never be
-- Finds the variants that wait for a run, records that this sensor requests their runs, and returns them. Of several
-- sensors that call it at the same moment, each variant goes to one. The tenants take turns, each with its longest
-- waiting state first. Left out are variants with a run `in_flight`, which only Dagster knows, states that had their
-- run, and variants that somebody is deleting. `requested_before`: this state was requested already, so Dagster may have
-- a run for it.
CREATE OR REPLACE FUNCTION request_startable_variants(sensor text, in_flight uuid[], most int, kept interval)
RETURNS TABLE (job_variants_id uuid, job_id uuid, tenant_id text, current_step text, status text, state_revision bigint,
               held_by text, requested_before boolean, start_stage text)
LANGUAGE sql AS $$
    WITH startable AS (
        SELECT v.job_variants_id, v.job_id, v.current_step, v.status, v.state_revision,
               -- One look-up for each: a join would read all jobs.
               (SELECT j.tenant_id FROM jobs j WHERE j.job_id = v.job_id) AS tenant_id,
               CASE WHEN v.claim_revision IS NOT NULL THEN v.claimed_by END AS held_by
        FROM jobs_variants v
        WHERE is_startable(v.current_step, v.status) AND v.old_work IS NULL
          AND NOT EXISTS (SELECT FROM unnest(in_flight) AS busy (variant) WHERE busy.variant = v.job_variants_id)
          AND NOT EXISTS (
              SELECT FROM variant_requests r
              WHERE r.job_variants_id = v.job_variants_id AND r.state_revision = v.state_revision
                AND NOT may_request_again(r.requested_by, r.requested_at, r.run_outcome, sensor, kept))
    ), found AS MATERIALIZED (
        SELECT startable.*,
               row_number() OVER (PARTITION BY startable.tenant_id COLLATE "C" ORDER BY startable.state_revision) AS turn
        FROM startable
        ORDER BY turn, startable.state_revision
        LIMIT most
    ), kept_rows AS MATERIALIZED (
        -- Now the requests below wait for no writer of variants.
        SELECT v.job_variants_id
        FROM jobs_variants v
        WHERE v.job_variants_id = ANY (ARRAY(SELECT found.job_variants_id FROM found))
        FOR KEY SHARE SKIP LOCKED
    ), requested AS (
        INSERT INTO variant_requests AS r (job_variants_id, state_revision, requested_by)
        -- All sensors lock the rows in the same order.
        SELECT found.job_variants_id, found.state_revision, sensor
        FROM found JOIN kept_rows USING (job_variants_id)
        ORDER BY found.job_variants_id
        ON CONFLICT (job_variants_id) DO UPDATE
        SET state_revision = excluded.state_revision, requested_by = excluded.requested_by,
            requested_at = clock_timestamp(), run_outcome = NULL,
            requeues = CASE WHEN r.state_revision = excluded.state_revision THEN r.requeues ELSE 0 END
        WHERE r.state_revision < excluded.state_revision
           OR (r.state_revision = excluded.state_revision
               AND may_request_again(r.requested_by, r.requested_at, r.run_outcome, sensor, kept))
        RETURNING r.job_variants_id
    )
    SELECT found.job_variants_id, found.job_id, found.tenant_id, found.current_step, found.status, found.state_revision,
           found.held_by,
           -- The whole statement reads variant_requests as it was before.
           EXISTS (SELECT FROM variant_requests r WHERE r.job_variants_id = found.job_variants_id
                   AND r.state_revision = found.state_revision),
           variant_start_stage(found.job_variants_id, found.current_step, found.status)
    FROM found JOIN requested USING (job_variants_id)
    ORDER BY found.turn, found.state_revision
$$;

-- Complete means that all results are there and fresh, whoever writes the state.
CREATE FUNCTION verify_completion() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    stale_position int;
BEGIN
    IF is_complete(NEW.current_step, NEW.status)
       -- What was complete stays so, under whatever name of the step.
       AND (TG_OP = 'INSERT' OR NOT is_complete(known_step(OLD.current_step, OLD.status), known_status(OLD.status))) THEN
        stale_position := first_stale_position(NEW.job_variants_id);
        IF stale_position IS NOT NULL THEN
            PERFORM refuse_completion(NEW.job_variants_id, variant_step_at(stale_position));
        END IF;
    END IF;
    RETURN NEW;
END $$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION verify_completion() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE TRIGGER verify_completion BEFORE INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW WHEN (NEW.status = 'done') EXECUTE FUNCTION verify_completion();

-- One row for each thing that is wrong; none on a sound database. `make doctor` reads it. What the rescuer repairs within
-- seconds counts only when it lasts. Jobs with nothing but old work are as they were found.
CREATE VIEW broken_invariants AS
WITH progress AS (
    SELECT v.job_id, count(*) AS total,
           count(*) FILTER (WHERE is_complete(v.current_step, v.status)) AS complete,
           count(*) FILTER (WHERE v.status = 'failed') AS failed,
           max(v.updated_at) < now() - interval '5 minutes' AS is_at_rest,
           bool_and(v.old_work IS NOT NULL) AS is_old
    FROM jobs_variants v GROUP BY v.job_id
), settled AS (
    SELECT j.job_id, j.status, j.updated_at, p.failed, p.is_at_rest
    FROM jobs j JOIN progress p USING (job_id)
    WHERE j.current_step = ANY (variant_stages()) AND p.complete + p.failed = p.total AND NOT p.is_old
      AND NOT EXISTS (SELECT FROM unsettled_jobs u WHERE u.job_id = j.job_id)
)
SELECT 'a job is done although all variants have ended and one has failed' AS invariant, job_id,
       NULL::uuid AS job_variants_id
FROM settled WHERE status = 'done' AND failed > 0
UNION ALL
SELECT 'a job is failed although all variants are complete', job_id, NULL
FROM settled WHERE status = 'failed' AND failed = 0
UNION ALL
SELECT 'a job is neither done nor failed although all variants have ended, for five minutes', job_id, NULL
FROM settled
WHERE coalesce(status, 'none') NOT IN ('done', 'failed') AND is_at_rest
  AND coalesce(updated_at, '-infinity') < now() - interval '5 minutes'
UNION ALL
SELECT 'a job is noted as unsettled for five minutes', u.job_id, NULL
FROM unsettled_jobs u JOIN jobs j USING (job_id)
WHERE j.current_step = ANY (variant_stages()) AND u.noted_at < now() - interval '5 minutes'
UNION ALL
-- Where the service before this one has completed a variant, no result has a revision.
SELECT 'a variant is complete although a result is missing or not fresh', v.job_id, v.job_variants_id
FROM jobs_variants v
WHERE is_complete(v.current_step, v.status) AND first_stale_position(v.job_variants_id) IS NOT NULL
  AND EXISTS (SELECT FROM variant_results r WHERE r.job_variants_id = v.job_variants_id)
UNION ALL
SELECT 'a variant is complete without an ad', v.job_id, v.job_variants_id
FROM jobs_variants v
WHERE is_complete(v.current_step, v.status) AND v.overlaid_img_asset_id IS NULL
  AND EXISTS (SELECT FROM variant_results r WHERE r.job_variants_id = v.job_variants_id)
UNION ALL
SELECT 'two variants have the same ad', v.job_id, v.job_variants_id
FROM jobs_variants v JOIN jobs_variants other USING (overlaid_img_asset_id)
WHERE other.job_variants_id <> v.job_variants_id
UNION ALL
SELECT 'the ad of a variant belongs to another tenant than its job', v.job_id, v.job_variants_id
FROM jobs_variants v
JOIN jobs j USING (job_id)
JOIN image_assets ad ON ad.image_asset_id = v.overlaid_img_asset_id
WHERE ad.tenant_id <> j.tenant_id
UNION ALL
SELECT 'a variant is at work without a run, for five minutes', v.job_id, v.job_variants_id
FROM jobs_variants v
WHERE is_at_work(v.current_step, v.status) AND v.old_work IS NULL AND v.claimed_by IS NULL
  AND v.updated_at < now() - interval '5 minutes'
UNION ALL
SELECT 'a claim is newer than the state that it wrote', v.job_id, v.job_variants_id
FROM jobs_variants v WHERE v.claim_revision > v.state_revision
UNION ALL
SELECT 'a run was requested for a state that is still to come', v.job_id, v.job_variants_id
FROM variant_requests r JOIN jobs_variants v USING (job_variants_id)
WHERE r.state_revision > v.state_revision;

-- step: jobs that stayed failed when their failed variant was deleted are settled
INSERT INTO unsettled_jobs (job_id)
SELECT j.job_id FROM jobs j CROSS JOIN LATERAL job_progress(j.job_id) p
WHERE j.current_step = ANY (variant_stages()) AND j.status = 'failed' AND p.total > 0 AND p.complete = p.total
  AND EXISTS (SELECT FROM jobs_variants v WHERE v.job_id = j.job_id AND v.old_work IS NULL);
