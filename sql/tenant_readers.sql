-- Optional: logins that read the rows of one tenant and nothing else. Run this file as the owner of the tables; it can be
-- run again at any time, and must be after a migration that adds a table. docs/roles.md says how a login is added.
--
-- A login is a member of the role tenant_reader, and its row in tenant_readers names its tenant. Without that row it
-- reads nothing; of a table without a policy below it reads nothing either. Everybody else reads and writes as before:
-- the policy `everybody` is true, and `own_tenant` restricts members of tenant_reader only.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tenant_reader') THEN
        CREATE ROLE tenant_reader NOLOGIN;
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS tenant_readers (
    reader name PRIMARY KEY,
    tenant_id varchar NOT NULL REFERENCES tenants ON DELETE CASCADE
);

-- The tables that a reader may read, with the condition. Each refers to one that stands before it, of which the reader
-- sees its own tenant's rows only.
DO $$
DECLARE
    own_variant text := 'job_variants_id IN (SELECT v.job_variants_id FROM jobs_variants v)';
    own_job text := 'job_variants_id IS NULL AND job_id IN (SELECT j.job_id FROM jobs j)';
    rule record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO tenant_reader', current_schema()::regnamespace);
    FOR rule IN
        SELECT * FROM (VALUES
            ('tenant_readers', 'reader = current_user'),
            ('tenants', 'tenant_id = (SELECT r.tenant_id FROM tenant_readers r)'),
            ('jobs', 'tenant_id = (SELECT r.tenant_id FROM tenant_readers r)'),
            ('image_assets', 'tenant_id = (SELECT r.tenant_id FROM tenant_readers r)'
                             ' OR (tenant_id IS NULL AND job_id IN (SELECT j.job_id FROM jobs j))'),
            ('job_inputs', 'job_id IN (SELECT j.job_id FROM jobs j)'),
            ('txt_ad_copy_generations', 'job_id IN (SELECT j.job_id FROM jobs j)'),
            ('jobs_variants', 'job_id IN (SELECT j.job_id FROM jobs j)'),
            ('planner_proposals', own_variant),
            ('overlay_layouts', own_variant),
            ('vlm_traces', format('%s OR (%s)', own_variant, own_job)),
            ('detections', format('%s OR (%s)', own_variant, own_job)),
            ('yolo_runs', format('%s OR (%s)', own_variant, own_job)),
            ('evaluations', format('%s OR (%s)', own_variant, own_job))
        ) AS rules (name, condition)
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', rule.name);
        EXECUTE format('DROP POLICY IF EXISTS everybody ON %I', rule.name);
        EXECUTE format('DROP POLICY IF EXISTS own_tenant ON %I', rule.name);
        EXECUTE format('CREATE POLICY everybody ON %I USING (true) WITH CHECK (true)', rule.name);
        EXECUTE format('CREATE POLICY own_tenant ON %I AS RESTRICTIVE TO tenant_reader USING (%s)',
                       rule.name, rule.condition);
        EXECUTE format('GRANT SELECT ON %I TO tenant_reader', rule.name);
    END LOOP;
END $$;
