SET lock_timeout = '2s';
alter table odds attach partition odds_nfc for values in ('NFC');
