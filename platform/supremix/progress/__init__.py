"""What a search says of itself: progress, notifications, webhooks."""
