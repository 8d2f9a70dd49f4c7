-- Which sensor has asked for the run of a variant's state, so that of several that look at once only one does.

CREATE TABLE variant_requests (
    job_variants_id uuid PRIMARY KEY REFERENCES jobs_variants ON DELETE CASCADE,
    state_revision bigint NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
