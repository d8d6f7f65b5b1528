"""What editors ask of files while they are written: what may stand here, and what does this mean."""
