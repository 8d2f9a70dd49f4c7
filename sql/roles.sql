-- The rights of the roles that use the database: the service's own, variants_service, and those of the other teams, js
-- and ye. Write your names in their places. Run this file as the owner of the tables after `make migrate`, with the
-- tables' schema in the search path; it can be run again at any time. docs/roles.md says how the roles are made.

DO $$
DECLARE
    product regnamespace := current_schema()::regnamespace;
    read_by_all text := 'tenants, image_assets, jobs, job_inputs, txt_ad_copy_generations, jobs_variants, vlm_traces,'
        ' detections, yolo_runs, planner_proposals, overlay_layouts, evaluations, variant_results';
    results text := 'vlm_traces, yolo_runs, planner_proposals, overlay_layouts, evaluations';
    columns text;
    numbers text;
    own text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO variants_service, js, ye', product);
    EXECUTE format('GRANT SELECT ON %s TO variants_service, js, ye', read_by_all);

    -- The service writes the state of a variant, never what ye says about it.
    SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
    WHERE attrelid = 'jobs_variants'::regclass AND attnum > 0 AND NOT attisdropped
      AND attname NOT IN ('job_variants_id', 'job_id', 'img_asset_id', 'creation_order', 'selected', 'pk', 'created_at');
    EXECUTE format('GRANT UPDATE (%s) ON jobs_variants TO variants_service', columns);
    EXECUTE format('GRANT INSERT, UPDATE ON %s TO variants_service', results);

    -- What only the service uses; an older schema lacks some of it.
    FOREACH own IN ARRAY ARRAY['variant_requests', 'parallel_order', 'unsettled_jobs', 'service_lease'] LOOP
        IF to_regclass(own) IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO variants_service', own);
        END IF;
    END LOOP;
    FOREACH own IN ARRAY ARRAY['job_variants_migrations', 'broken_invariants', 'unknown_variant_states'] LOOP
        IF to_regclass(own) IS NOT NULL THEN
            EXECUTE format('GRANT SELECT ON %I TO variants_service', own);
        END IF;
    END LOOP;

    -- The numbers of the rows that it inserts; an adopted database may have other names for these sequences.
    SELECT string_agg(pg_get_serial_sequence(name, 'pk'), ', ') INTO numbers
    FROM unnest(string_to_array(results || ', image_assets, detections', ', ')) AS names (name);
    EXECUTE format('GRANT USAGE ON SEQUENCE variant_revisions, %s TO variants_service', numbers);

    SELECT string_agg(pg_get_serial_sequence(name, 'pk'), ', ') INTO numbers
    FROM unnest(ARRAY['tenants', 'jobs', 'job_inputs', 'txt_ad_copy_generations', 'image_assets', 'jobs_variants'])
         AS names (name);
    EXECUTE format('GRANT USAGE ON SEQUENCE %s TO js, ye', numbers);
END $$;

GRANT UPDATE (status, current_step, updated_at) ON jobs TO variants_service;
GRANT INSERT, UPDATE (image_url, width, height, updated_at) ON image_assets TO variants_service;
GRANT INSERT, DELETE ON detections TO variants_service;
GRANT EXECUTE ON FUNCTION delete_job TO variants_service;

-- js and ye write the state of a variant and what is theirs; claims, revisions, errors and verdicts are not.
GRANT INSERT, UPDATE ON tenants, jobs, job_inputs, txt_ad_copy_generations TO js;
GRANT UPDATE (current_step, status, selected, updated_at) ON jobs_variants TO js;
GRANT INSERT, UPDATE ON image_assets, jobs TO ye;
GRANT INSERT (job_variants_id, job_id, img_asset_id, creation_order, selected, current_step, status, created_at, updated_at)
    ON jobs_variants TO ye;
GRANT UPDATE (img_asset_id, creation_order, selected, current_step, status, updated_at) ON jobs_variants TO ye;

-- Dagster's own tables: the service alone, also those that a later version adds.
GRANT USAGE ON SCHEMA dagster TO variants_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dagster TO variants_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA dagster TO variants_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA dagster GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO variants_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA dagster GRANT USAGE ON SEQUENCES TO variants_service;
