"""One file per issue tracker; the kind is the file name with dashes."""
