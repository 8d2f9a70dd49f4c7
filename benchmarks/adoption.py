"""Adopts a large old database while other teams write into it, and says how long they waited.

`python -m benchmarks.adoption --variants 300000`
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from resources.postgres.migrations import migrate
from service import postgres
from testing.databases import new_database, run_script
from testing.other_teams import OtherTeams

# One job has three variants; a month ago all of them had a state of their own, and all their results.
_BACKLOG = """
ALTER TABLE jobs DISABLE TRIGGER USER;
ALTER TABLE jobs_variants DISABLE TRIGGER USER;
INSERT INTO jobs (job_id, tenant_id, current_step, status, created_at)
SELECT gen_random_uuid(), 'cafe', 'vlm_analyze', 'running', now() - interval '30 days' FROM generate_series(1, {jobs});
INSERT INTO image_assets (image_asset_id, image_url)
SELECT md5(job_id::text || n)::uuid, '/assets/ye/' || job_id || n || '.png'
FROM jobs, generate_series(1, 3) n WHERE created_at < now() - interval '1 day';
INSERT INTO jobs_variants (job_id, img_asset_id, creation_order, current_step, status, retry_count, created_at)
SELECT job_id, md5(job_id::text || n)::uuid, n,
       (ARRAY['img_gen', 'VLM_ANALYZE', 'vlm_planner', 'iou_eval', 'user_img_input'])[1 + (random() * 4)::int],
       (ARRAY['queued', 'running', 'done', 'failed'])[1 + (random() * 3)::int], (random() * 20)::int, created_at
FROM jobs, generate_series(1, 3) n WHERE created_at < now() - interval '1 day';
INSERT INTO detections (image_asset_id, job_id, box, label, score)
SELECT img_asset_id, job_id, '[1, 2, 30, 40]', 'cup', 0.9 FROM jobs_variants;
INSERT INTO planner_proposals (image_asset_id, layout) SELECT img_asset_id, '{{}}' FROM jobs_variants;
INSERT INTO overlay_layouts (job_variants_id, layout) SELECT job_variants_id, '{{}}' FROM jobs_variants;
INSERT INTO evaluations (job_id, overlay_id, evaluation_type, metrics)
SELECT v.job_id, o.overlay_id, t, '{{"score": 1}}' FROM overlay_layouts o JOIN jobs_variants v USING (job_variants_id),
     unnest(ARRAY['ocr', 'readability', 'iou', 'llava_judge']) t;
INSERT INTO vlm_traces (job_id, job_variants_id, operation_type, response)
SELECT job_id, job_variants_id, t, '{{}}' FROM jobs_variants, unnest(ARRAY['analyze', 'judge']) t;
ALTER TABLE jobs ENABLE TRIGGER USER;
ALTER TABLE jobs_variants ENABLE TRIGGER USER;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=300_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder) / "postgres"
        try:
            print(json.dumps(measure(postgres.start(server, durable=False).url, given.variants), indent=2))
        finally:
            postgres.stop(server)


def measure(admin_url: str, variants: int) -> dict[str, object]:
    with new_database(admin_url) as url:
        run_script(url, "old_database.sql")
        run_script(url, "old_states.sql")
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(_BACKLOG.format(jobs=variants // 3)))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        teams = OtherTeams(url)
        with teams.at_work():
            started_s = time.monotonic()
            applied = migrate(url)
            took_s = time.monotonic() - started_s
        engine.dispose()
    return {
        "variants": variants,
        "migrations": len(applied),
        "seconds": round(took_s, 1),
        "longest_wait_s": round(teams.longest_s, 3),
        "longest_wait_at": teams.longest_statement,
        "done": teams.done,
        "errors": teams.errors[:5],
    }


if __name__ == "__main__":
    main()
