"""One file per automation tool; the kind is the file name with dashes."""
