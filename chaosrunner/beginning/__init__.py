"""What `chaosrunner init` and `new` write, out of what is there. It speaks of plugins by name, as files do."""
