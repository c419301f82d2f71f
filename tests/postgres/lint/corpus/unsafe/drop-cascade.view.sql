SET lock_timeout = '2s';
drop view mart.game_summary cascade;
