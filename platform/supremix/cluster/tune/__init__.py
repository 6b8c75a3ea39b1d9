"""Ray Tune: the runner of a search's trials, and experiment trackers."""
