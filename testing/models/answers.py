"""A good answer to each prompt, as a model writes it."""

ANALYSIS = {
    "is_valid": True, "image_quality_ok": True, "relevance_tenths": 8, "issues": [], "recommendations": ["more light"],
    "font_style": "serif", "font_size": "large", "font_color": "#ffeedd", "text": "a picture",
}  # fmt: skip
JUDGEMENT = {
    "on_brief": True, "occlusion": False, "contrast_ok": True, "cta_present": False, "issues": [], "reasoning": "fine",
}  # fmt: skip
