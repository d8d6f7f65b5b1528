"""The near-miss register: SQLAlchemy Core and Alembic; SQLite by default."""
