"""The messages of a search: progress, notifications, webhooks."""
