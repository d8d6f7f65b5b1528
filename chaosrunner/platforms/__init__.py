"""Where targets live: one module or package per platform; the kind is its name with dashes."""
