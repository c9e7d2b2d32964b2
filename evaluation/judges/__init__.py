"""Judges: rubrics asked of models, rules that need no model, and how several verdicts become one."""
