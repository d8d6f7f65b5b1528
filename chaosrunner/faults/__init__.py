"""One file per fault; the kind is the file name with dashes."""
