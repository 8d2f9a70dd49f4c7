-- A database has one service, the first tries after a crash come at once, and trouble of the picture store is no fault of
-- a variant.

-- The one service that works on this database. It counts `renewals` up every two seconds; a service that wants to start
-- watches the number, so no clocks are compared.
CREATE TABLE service_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Host, folder, process and address of the service, as JSON.
    holder jsonb NOT NULL,
    renewals bigint NOT NULL DEFAULT 0,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE OR REPLACE FUNCTION requeue_pause(requeues int) RETURNS interval
IMMUTABLE PARALLEL SAFE
RETURN interval '1 second' * 4 ^ least(requeues, 6);

-- The store of the pictures is in trouble, which is not the variant's fault: it waits at the stage before, with the
-- reason, and nothing is counted against it. Any sensor may request its run again five seconds later: a request is kept
-- for a minute. False when the run no longer holds the stage.
CREATE FUNCTION give_back_stage(variant uuid, stage text, run text, message text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    new_revision bigint;
BEGIN
    UPDATE jobs_variants
    SET current_step = variant_step_at(variant_step_position(current_step) - 1), status = 'done', claimed_by = NULL,
        error = message
    WHERE job_variants_id = variant AND current_step = stage AND status = 'running' AND claimed_by = run
    RETURNING state_revision INTO new_revision;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO variant_requests AS r (job_variants_id, state_revision, requested_by, requested_at)
    VALUES (variant, new_revision, 'nobody', clock_timestamp() - interval '55 seconds')
    ON CONFLICT (job_variants_id) DO UPDATE
    SET state_revision = excluded.state_revision, requested_by = excluded.requested_by,
        requested_at = excluded.requested_at, run_outcome = NULL, requeues = 0;
    RETURN true;
END $$;
