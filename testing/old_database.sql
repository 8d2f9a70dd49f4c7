-- A database of the service before this one, as the other parts know it, with rows in every table.
CREATE TABLE tenants (tenant_id varchar(255) PRIMARY KEY, display_name varchar(255), uid varchar(255), pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE image_assets (image_asset_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), image_type varchar(50),
    image_url text NOT NULL, mask_url text, width int, height int, creator_id uuid,
    tenant_id varchar(255) REFERENCES tenants, job_id uuid, pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE jobs (job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id varchar(255) REFERENCES tenants,
    store_id uuid, status varchar(50) DEFAULT 'queued', current_step varchar(255), version varchar(50),
    retry_count int DEFAULT 0, pk serial, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE job_inputs (job_id uuid PRIMARY KEY REFERENCES jobs, img_asset_id uuid REFERENCES image_assets,
    tone_style_id uuid, desc_kor varchar(500), desc_eng varchar(500), pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE jobs_variants (job_variants_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES jobs, img_asset_id uuid NOT NULL REFERENCES image_assets,
    creation_order int NOT NULL, selected boolean DEFAULT false, pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE txt_ad_copy_generations (ad_copy_gen_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_id uuid NOT NULL,
    generation_stage varchar(50), ad_copy_kor text, ad_copy_eng text, refined_ad_copy_eng text, status varchar(50),
    pk serial, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE vlm_traces (vlm_trace_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_id uuid, job_variants_id uuid,
    provider varchar(255), operation_type varchar(255), request jsonb, response jsonb, latency_ms numeric(10,3),
    pk serial, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE detections (detection_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), image_asset_id uuid, model_id uuid,
    job_id uuid, box jsonb, label varchar(255), score numeric(5,4), pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE yolo_runs (yolo_run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_id uuid UNIQUE,
    image_asset_id uuid, forbidden_mask_url text, model_name varchar(255), detection_count int,
    latency_ms numeric(10,3), pk serial, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE planner_proposals (proposal_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), image_asset_id uuid,
    prompt text, layout jsonb, latency_ms numeric(10,3), pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE overlay_layouts (overlay_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), proposal_id uuid,
    job_variants_id uuid, layout jsonb, x_ratio numeric(5,4), y_ratio numeric(5,4), width_ratio numeric(5,4),
    height_ratio numeric(5,4), text_margin varchar(50), latency_ms numeric(10,3), pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE evaluations (evaluation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_id uuid, overlay_id uuid,
    evaluation_type varchar(50), metrics jsonb, pk serial,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());

-- Its triggers, by their real names: completion of the job, and notifications of its own.
CREATE FUNCTION notify_job_state_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('job_state_changed', row_to_json(NEW)::text);
    RETURN NEW;
END $$;
CREATE TRIGGER job_state_change_trigger AFTER UPDATE ON jobs
    FOR EACH ROW EXECUTE FUNCTION notify_job_state_change();
CREATE FUNCTION notify_job_variant_state_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('job_variant_state_changed', row_to_json(NEW)::text);
    RETURN NEW;
END $$;
CREATE TRIGGER job_variant_state_change_trigger AFTER UPDATE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION notify_job_variant_state_change();
CREATE FUNCTION check_all_variants_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs SET status = 'done' WHERE job_id = NEW.job_id;
    RETURN NEW;
END $$;
CREATE TRIGGER check_all_variants_done_trigger AFTER UPDATE ON jobs_variants
    FOR EACH ROW EXECUTE FUNCTION check_all_variants_done();
-- Those of ye, which are none of our business, whatever is in them.
CREATE FUNCTION ye_counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER ye_counts AFTER INSERT ON jobs_variants FOR EACH ROW EXECUTE FUNCTION ye_counts();
CREATE FUNCTION ye_touch_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs SET updated_at = now() WHERE job_id = NEW.job_id;
    PERFORM pg_notify('job_state_changed', NEW.job_id::text);
    RETURN NEW;
END $$;
CREATE TRIGGER ye_touch_job AFTER UPDATE ON jobs_variants FOR EACH ROW EXECUTE FUNCTION ye_touch_job();

INSERT INTO tenants (tenant_id) VALUES ('cafe');
-- Jobs 1 to 5: before us, handed over, in the middle, done by the old service, and taken on by js.
INSERT INTO jobs (job_id, tenant_id, current_step, status)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'cafe', step, status
FROM (VALUES (1, 'img_gen', 'running'), (2, 'vlm_analyze', 'running'), (3, 'planner', 'running'),
             (4, 'iou_eval', 'done'), (5, 'ab_vote', 'done')) AS j (n, step, status);
INSERT INTO job_inputs (job_id, desc_kor) SELECT job_id, '커피' FROM jobs;
INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_kor, status)
SELECT job_id, 'ad_copy_kor', '커피 한 잔', 'done' FROM jobs;
INSERT INTO image_assets (image_asset_id, image_url, tenant_id, job_id)
SELECT (left(job_id::text, 35) || right(job_id::text, 1))::uuid, '/assets/a.png', 'cafe', job_id FROM jobs;
INSERT INTO image_assets (image_url, tenant_id, job_id)
SELECT '/assets/' || n || '.png', 'cafe', job_id FROM jobs, generate_series(2, 3) n;
INSERT INTO jobs_variants (job_id, img_asset_id, creation_order)
SELECT job_id, image_asset_id, row_number() OVER (PARTITION BY job_id ORDER BY image_url DESC) FROM image_assets;
-- Results: one yolo run per job, as its uniqueness demanded; two layouts and traces of a first variant; an orphan.
INSERT INTO yolo_runs (job_id, image_asset_id, model_name, detection_count)
SELECT DISTINCT ON (job_id) job_id, img_asset_id, 'yolov8x-seg.pt', 1 FROM jobs_variants ORDER BY job_id, creation_order;
INSERT INTO detections (image_asset_id, job_id, box, label, score)
SELECT img_asset_id, job_id, '[1, 2, 30, 40]', 'cup', 0.9 FROM jobs_variants;
INSERT INTO planner_proposals (image_asset_id, layout) SELECT img_asset_id, '{"proposals": []}' FROM jobs_variants;
INSERT INTO overlay_layouts (proposal_id, job_variants_id, layout)
SELECT p.proposal_id, v.job_variants_id, '{}' FROM jobs_variants v
JOIN planner_proposals p ON p.image_asset_id = v.img_asset_id, generate_series(1, 2);
INSERT INTO overlay_layouts (job_variants_id, layout) VALUES (gen_random_uuid(), '{"orphan": true}');
INSERT INTO evaluations (job_id, overlay_id, evaluation_type, metrics)
SELECT v.job_id, o.overlay_id, t, '{"score": 1}' FROM overlay_layouts o JOIN jobs_variants v USING (job_variants_id),
     unnest(ARRAY['ocr', 'readability', 'iou', 'llava_judge']) t;
INSERT INTO vlm_traces (job_id, job_variants_id, operation_type, response)
SELECT job_id, job_variants_id, 'analyze', '{}' FROM jobs_variants, generate_series(1, 2);
INSERT INTO vlm_traces (job_id, operation_type, response) SELECT job_id, 'analyze', '{"by": "ye"}' FROM jobs;
