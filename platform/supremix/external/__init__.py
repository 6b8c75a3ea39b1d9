"""External evaluation: a trained model on datasets that were no part of its search."""
