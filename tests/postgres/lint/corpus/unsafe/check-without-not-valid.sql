SET lock_timeout = '2s';
alter table raw.games add constraint week_in_season check (week between 1 and 22);
