"""chaosrunner: a chaos-engineering experiment runner that never forgets what it found."""

__version__ = "0.1.0"
