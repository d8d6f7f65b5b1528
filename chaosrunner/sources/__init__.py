"""Where evidence comes from: one file each, found by its name."""
