-- The tables shared with the other parts. An existing database keeps its own; an empty one gets these.

CREATE TABLE IF NOT EXISTS tenants (
    tenant_id varchar PRIMARY KEY,
    display_name varchar,
    uid varchar,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS image_assets (
    image_asset_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    image_type varchar,
    image_url text NOT NULL,
    mask_url text,
    width int,
    height int,
    creator_id varchar,
    tenant_id varchar REFERENCES tenants,
    job_id uuid,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS jobs (
    job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id varchar REFERENCES tenants,
    store_id uuid,
    status varchar DEFAULT 'queued',
    current_step varchar,
    version varchar,
    retry_count int DEFAULT 0,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS job_inputs (
    job_id uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    img_asset_id uuid REFERENCES image_assets,
    tone_style_id uuid,
    desc_kor text,
    desc_eng text,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS jobs_variants (
    job_variants_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    img_asset_id uuid REFERENCES image_assets,
    creation_order int NOT NULL,
    selected boolean DEFAULT false,
    status varchar DEFAULT 'queued',
    current_step varchar,
    retry_count int DEFAULT 0,
    overlaid_img_asset_id uuid REFERENCES image_assets,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS txt_ad_copy_generations (
    ad_copy_gen_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    generation_stage varchar,
    ad_copy_kor text,
    ad_copy_eng text,
    refined_ad_copy_eng text,
    status varchar,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS vlm_traces (
    vlm_trace_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid,
    job_variants_id uuid,
    provider varchar,
    operation_type varchar,
    request jsonb,
    response jsonb,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS detections (
    detection_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    image_asset_id uuid,
    model_id uuid,
    job_id uuid,
    box jsonb,
    label varchar,
    score numeric(5, 4),
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS yolo_runs (
    yolo_run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid,
    image_asset_id uuid,
    forbidden_mask_url text,
    model_name varchar,
    detection_count int,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS planner_proposals (
    proposal_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    image_asset_id uuid,
    prompt text,
    layout jsonb,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS overlay_layouts (
    overlay_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    proposal_id uuid REFERENCES planner_proposals,
    job_variants_id uuid,
    layout jsonb,
    x_ratio numeric(5, 4),
    y_ratio numeric(5, 4),
    width_ratio numeric(5, 4),
    height_ratio numeric(5, 4),
    text_margin varchar,
    latency_ms numeric,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS evaluations (
    evaluation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid,
    overlay_id uuid REFERENCES overlay_layouts,
    evaluation_type varchar,
    metrics jsonb,
    pk serial,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
