"""One file per probe; the kind is the file name with dashes."""
