"""The shop that the first command breaks."""
