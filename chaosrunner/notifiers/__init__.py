"""One file per notifier; the kind is the file name with dashes."""
