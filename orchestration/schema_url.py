"""Database URLs with a schema: Dagster's tables have names that others have too, such as jobs."""

from __future__ import annotations

from sqlalchemy import make_url


def in_schema(url: str, schema: str) -> str:
    """The URL with this schema as the search path; its other options stay."""
    path = f"-csearch_path={schema}"
    parsed = make_url(url)
    given = str(parsed.query.get("options", "")).removesuffix(path).strip()
    return parsed.update_query_dict({"options": f"{given} {path}".strip()}).render_as_string(hide_password=False)
