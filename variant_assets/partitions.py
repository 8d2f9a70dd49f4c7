"""Every stage output is one partition per variant; the key is its job_variants_id."""

import dagster as dg

job_variants = dg.DynamicPartitionsDefinition(name="job_variants_id")
