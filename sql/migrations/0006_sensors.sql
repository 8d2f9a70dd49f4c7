-- Which sensor has asked for the run of a variant's state, so that of several that look at once only one does.

CREATE TABLE variant_requests (
    job_variants_id uuid PRIMARY KEY REFERENCES jobs_variants ON DELETE CASCADE,
    state_revision bigint NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How many variants people want to run at a time, and since when: the throttle never goes above it.

CREATE TABLE parallel_order (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    variants int NOT NULL CHECK (variants >= 1),
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
