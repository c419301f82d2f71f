GRANT USAGE ON SCHEMA raw TO analyst, public;
