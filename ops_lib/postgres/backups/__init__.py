"""Backups with PostgreSQL's own programs, and their restoration into a scratch server that proves them."""
