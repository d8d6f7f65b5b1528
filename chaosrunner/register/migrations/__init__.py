"""Alembic's migrations of the register, oldest first in `versions/`. Each keeps what is there; none is ever edited."""
