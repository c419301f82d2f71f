"""Layouts: one module for each habit of keeping migrations in files. None of them speaks to a database."""
