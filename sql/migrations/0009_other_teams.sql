-- Other teams write as before: with any role, any search_path, and states of their own. Work that was there before this
-- project is held until an operator releases it.

-- step: jobs_variants takes every state, and knows old work
DROP INDEX IF EXISTS idx_jobs_variants_startable;
DROP INDEX IF EXISTS idx_jobs_variants_running;
ALTER TABLE jobs_variants
    ADD COLUMN IF NOT EXISTS old_work varchar,
    DROP CONSTRAINT IF EXISTS jobs_variants_known_status,
    DROP CONSTRAINT IF EXISTS jobs_variants_known_step,
    ALTER COLUMN state_revision SET DEFAULT 0,
    ADD CONSTRAINT jobs_variants_known_old_work CHECK (old_work IN ('held', 'released')) NOT VALID,
    ADD CONSTRAINT jobs_variants_state_is_there
        CHECK (status IS NOT NULL AND current_step IS NOT NULL AND retry_count IS NOT NULL) NOT VALID;

CREATE OR REPLACE FUNCTION known_step(step text, status text) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN CASE lower(btrim(coalesce(step, '')))
           WHEN 'vlm_planner' THEN 'planner'
           WHEN '' THEN CASE WHEN status = 'done' THEN '' ELSE 'img_gen' END
           ELSE lower(btrim(step)) END;

CREATE OR REPLACE FUNCTION known_status(status text) RETURNS text
IMMUTABLE PARALLEL SAFE
RETURN lower(btrim(coalesce(nullif(btrim(status), ''), 'queued')));

CREATE FUNCTION other_steps() RETURNS text[]
IMMUTABLE PARALLEL SAFE
RETURN ARRAY['user_img_input', 'user_txt_input', 'gpt_llm_translation', 'gpt_llm_generation', 'ab_vote',
             'gen_vlm_analyze', 'feed_gen'];

CREATE OR REPLACE FUNCTION is_startable(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN (status = 'done' AND step = ANY (variant_steps()) AND step <> last_variant_stage())
    OR (status = 'queued' AND step = ANY (variant_stages()));

CREATE OR REPLACE FUNCTION is_at_work(step text, status text) RETURNS boolean
IMMUTABLE PARALLEL SAFE
RETURN status = 'running' AND step = ANY (variant_stages());

CREATE FUNCTION accept_variant_state() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := known_status(NEW.status);
    NEW.current_step := known_step(NEW.current_step, NEW.status);
    IF TG_OP = 'INSERT' THEN
        NEW.state_revision := nextval('variant_revisions');
        NEW.retry_count := 0;
    ELSIF NEW.old_work IS NOT DISTINCT FROM OLD.old_work THEN
        NEW.old_work := NULL;
    END IF;
    RETURN NEW;
END $$;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['accept_variant_state', 'stamp_variant_state', 'settle_job_of_variant'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SECURITY DEFINER SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;
CREATE TRIGGER accept_variant_state BEFORE INSERT OR UPDATE OF current_step, status ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION accept_variant_state();

CREATE VIEW unknown_variant_states AS
SELECT job_variants_id, job_id, current_step, status, updated_at
FROM jobs_variants
WHERE current_step <> ALL (variant_steps() || other_steps()) OR status NOT IN ('queued', 'running', 'done', 'failed');

-- step in batches of jobs_variants by job_variants_id: what was written meanwhile gets its state
UPDATE jobs_variants
SET current_step = current_step, retry_count = coalesce(retry_count, 0)
WHERE job_variants_id > :after AND job_variants_id <= :upto
  AND (current_step, status) IS DISTINCT FROM (known_step(current_step, known_status(status)), known_status(status))
   OR (job_variants_id > :after AND job_variants_id <= :upto AND retry_count IS NULL);

-- step: every variant has a state
ALTER TABLE jobs_variants VALIDATE CONSTRAINT jobs_variants_known_old_work;
ALTER TABLE jobs_variants VALIDATE CONSTRAINT jobs_variants_state_is_there;

-- step: PostgreSQL takes this from the validated constraint and does not read the table again
ALTER TABLE jobs_variants
    ALTER COLUMN status SET NOT NULL,
    ALTER COLUMN current_step SET NOT NULL,
    ALTER COLUMN retry_count SET NOT NULL,
    DROP CONSTRAINT jobs_variants_state_is_there;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_startable ON jobs_variants (state_revision)
    WHERE is_startable(current_step, status) AND old_work IS NULL;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_running ON jobs_variants (updated_at)
    WHERE is_at_work(current_step, status) AND old_work IS NULL;

-- step outside a transaction: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_jobs_variants_released ON jobs_variants (state_revision)
    WHERE old_work = 'released';

-- step: only this project writes current rows of vlm_traces
ALTER TABLE vlm_traces ALTER COLUMN is_current SET DEFAULT false;

-- step: only this project writes current rows of yolo_runs
ALTER TABLE yolo_runs ALTER COLUMN is_current SET DEFAULT false;

-- step: only this project writes current rows of planner_proposals
ALTER TABLE planner_proposals ALTER COLUMN is_current SET DEFAULT false;

-- step: only this project writes current rows of overlay_layouts
ALTER TABLE overlay_layouts ALTER COLUMN is_current SET DEFAULT false;

-- step: only this project writes current rows of evaluations
ALTER TABLE evaluations ALTER COLUMN is_current SET DEFAULT false;

-- step in batches of vlm_traces by vlm_trace_id: what others have written is not current
UPDATE vlm_traces SET is_current = false
WHERE vlm_trace_id > :after AND vlm_trace_id <= :upto AND is_current AND revision IS NULL;

-- step in batches of yolo_runs by yolo_run_id: what others have written is not current
UPDATE yolo_runs SET is_current = false
WHERE yolo_run_id > :after AND yolo_run_id <= :upto AND is_current AND revision IS NULL;

-- step in batches of planner_proposals by proposal_id: what others have written is not current
UPDATE planner_proposals SET is_current = false
WHERE proposal_id > :after AND proposal_id <= :upto AND is_current AND revision IS NULL;

-- step in batches of overlay_layouts by overlay_id: what others have written is not current
UPDATE overlay_layouts SET is_current = false
WHERE overlay_id > :after AND overlay_id <= :upto AND is_current AND revision IS NULL;

-- step in batches of evaluations by evaluation_id: what others have written is not current
UPDATE evaluations SET is_current = false
WHERE evaluation_id > :after AND evaluation_id <= :upto AND is_current AND revision IS NULL;

-- step: releasing old work, and what the adoption has found
CREATE FUNCTION release_old_work(most int DEFAULT NULL, of_job uuid DEFAULT NULL) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    released int;
BEGIN
    UPDATE jobs_variants v
    SET old_work = 'released', status = CASE WHEN v.status = 'running' THEN 'done' ELSE v.status END,
        current_step = CASE WHEN v.status = 'running' THEN variant_step_at(variant_step_position(v.current_step) - 1)
                            ELSE v.current_step END
    FROM (
        SELECT job_variants_id FROM jobs_variants
        WHERE old_work = 'held' AND (is_startable(current_step, status) OR is_at_work(current_step, status))
          AND (of_job IS NULL OR job_id = of_job)
        ORDER BY created_at DESC, job_variants_id
        LIMIT most
        FOR UPDATE
    ) chosen
    WHERE v.job_variants_id = chosen.job_variants_id;
    GET DIAGNOSTICS released = ROW_COUNT;
    RETURN released;
END $$;

-- As before, without old work.
CREATE OR REPLACE FUNCTION request_startable_variants(sensor text, in_flight uuid[], most int, kept interval)
RETURNS TABLE (job_variants_id uuid, job_id uuid, tenant_id text, current_step text, status text, state_revision bigint,
               held_by text, requested_before boolean, start_stage text)
LANGUAGE sql AS $$
    WITH found AS (
        SELECT v.job_variants_id, v.job_id, j.tenant_id, v.current_step, v.status, v.state_revision,
               CASE WHEN v.claim_revision IS NOT NULL THEN v.claimed_by END AS held_by,
               row_number() OVER (PARTITION BY j.tenant_id ORDER BY v.state_revision) AS turn
        FROM jobs_variants v
        LEFT JOIN jobs j ON j.job_id = v.job_id
        WHERE is_startable(v.current_step, v.status) AND v.old_work IS NULL
          AND v.job_variants_id <> ALL (in_flight)
          AND NOT EXISTS (
              SELECT FROM variant_requests r
              WHERE r.job_variants_id = v.job_variants_id AND r.state_revision = v.state_revision
                AND NOT may_request_again(r.requested_by, r.requested_at, r.run_outcome, sensor, kept))
        ORDER BY turn, v.state_revision
        LIMIT most
    ), requested AS (
        INSERT INTO variant_requests AS r (job_variants_id, state_revision, requested_by)
        -- All sensors lock the rows in the same order.
        SELECT found.job_variants_id, found.state_revision, sensor FROM found ORDER BY found.job_variants_id
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

UPDATE job_variants_migrations
SET notes = notes || ARRAY(
    SELECT format('held: %s variants (%s, %s)', count(*), current_step, status)
    FROM jobs_variants
    WHERE old_work = 'held' AND (is_startable(current_step, status) OR is_at_work(current_step, status))
    GROUP BY current_step, status ORDER BY current_step, status
) || ARRAY(
    SELECT format('unknown: %s variants (%s, %s)', count(*), current_step, status)
    FROM unknown_variant_states GROUP BY current_step, status ORDER BY current_step, status
)
WHERE number = current_setting('job_variants.migration')::int;
