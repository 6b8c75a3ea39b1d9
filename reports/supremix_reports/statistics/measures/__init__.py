"""Measures of predictions: errors, skill, agreement, by label region."""
