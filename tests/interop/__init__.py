"""Files of other chaos tools, turned into ours."""
