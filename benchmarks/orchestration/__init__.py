"""What Dagster costs around the stages: stock, tuned, ours, and the same work without Dagster."""
