"""External evaluation: the page about a model on another cohort."""
