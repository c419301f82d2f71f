create unique index if not exists "Idx" on "Games" (lower(name)) where active;
