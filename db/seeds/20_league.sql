-- Facts: the stadiums and teams of today, and the shape of each season. Players are nameless and synthetic.

BEGIN;

INSERT INTO raw.stadiums (stadium_id, name, city, roof, latitude, longitude, elevation_ft, time_zone) VALUES
    ('ARI', 'State Farm Stadium',        'Glendale',        'retractable', 33.53, -112.26, 1070, 'America/Phoenix'),
    ('ATL', 'Mercedes-Benz Stadium',     'Atlanta',         'retractable', 33.76,  -84.40, 1050, 'America/New_York'),
    ('BAL', 'M&T Bank Stadium',          'Baltimore',       'open',        39.28,  -76.62,   20, 'America/New_York'),
    ('BUF', 'Highmark Stadium',          'Orchard Park',    'open',        42.77,  -78.79,  750, 'America/New_York'),
    ('CAR', 'Bank of America Stadium',   'Charlotte',       'open',        35.23,  -80.85,  750, 'America/New_York'),
    ('CHI', 'Soldier Field',             'Chicago',         'open',        41.86,  -87.62,  590, 'America/Chicago'),
    ('CIN', 'Paycor Stadium',            'Cincinnati',      'open',        39.10,  -84.52,  490, 'America/New_York'),
    ('CLE', 'Huntington Bank Field',     'Cleveland',       'open',        41.51,  -81.70,  580, 'America/New_York'),
    ('DAL', 'AT&T Stadium',              'Arlington',       'retractable', 32.75,  -97.09,  600, 'America/Chicago'),
    ('DEN', 'Empower Field',             'Denver',          'open',        39.74, -105.02, 5280, 'America/Denver'),
    ('DET', 'Ford Field',                'Detroit',         'dome',        42.34,  -83.05,  600, 'America/Detroit'),
    ('GB',  'Lambeau Field',             'Green Bay',       'open',        44.50,  -88.06,  640, 'America/Chicago'),
    ('HOU', 'NRG Stadium',               'Houston',         'retractable', 29.68,  -95.41,   50, 'America/Chicago'),
    ('IND', 'Lucas Oil Stadium',         'Indianapolis',    'retractable', 39.76,  -86.16,  720, 'America/Indiana/Indianapolis'),
    ('JAX', 'EverBank Stadium',          'Jacksonville',    'open',        30.32,  -81.64,   10, 'America/New_York'),
    ('KC',  'Arrowhead Stadium',         'Kansas City',     'open',        39.05,  -94.48,  890, 'America/Chicago'),
    ('LA',  'SoFi Stadium',              'Inglewood',       'dome',        33.95, -118.34,  110, 'America/Los_Angeles'),
    ('LV',  'Allegiant Stadium',         'Paradise',        'dome',        36.09, -115.18, 2180, 'America/Los_Angeles'),
    ('MIA', 'Hard Rock Stadium',         'Miami Gardens',   'open',        25.96,  -80.24,   10, 'America/New_York'),
    ('MIN', 'U.S. Bank Stadium',         'Minneapolis',     'dome',        44.97,  -93.26,  840, 'America/Chicago'),
    ('NE',  'Gillette Stadium',          'Foxborough',      'open',        42.09,  -71.26,  290, 'America/New_York'),
    ('NO',  'Caesars Superdome',         'New Orleans',     'dome',        29.95,  -90.08,    5, 'America/Chicago'),
    ('NY',  'MetLife Stadium',           'East Rutherford', 'open',        40.81,  -74.07,   10, 'America/New_York'),
    ('PHI', 'Lincoln Financial Field',   'Philadelphia',    'open',        39.90,  -75.17,   10, 'America/New_York'),
    ('PIT', 'Acrisure Stadium',          'Pittsburgh',      'open',        40.45,  -80.02,  730, 'America/New_York'),
    ('SEA', 'Lumen Field',               'Seattle',         'open',        47.60, -122.33,   20, 'America/Los_Angeles'),
    ('SF',  'Levi''s Stadium',           'Santa Clara',     'open',        37.40, -121.97,   10, 'America/Los_Angeles'),
    ('TB',  'Raymond James Stadium',     'Tampa',           'open',        27.98,  -82.50,   30, 'America/New_York'),
    ('TEN', 'Nissan Stadium',            'Nashville',       'open',        36.17,  -86.77,  420, 'America/Chicago'),
    ('WAS', 'Northwest Stadium',         'Landover',        'open',        38.91,  -76.86,  200, 'America/New_York');

INSERT INTO raw.teams (team, name, conference, division, stadium_id, first_season) VALUES
    ('BUF', 'Buffalo Bills',         'AFC', 'East',  'BUF', 1999), ('MIA', 'Miami Dolphins',       'AFC', 'East',  'MIA', 1999),
    ('NE',  'New England Patriots',  'AFC', 'East',  'NE',  1999), ('NYJ', 'New York Jets',        'AFC', 'East',  'NY',  1999),
    ('BAL', 'Baltimore Ravens',      'AFC', 'North', 'BAL', 1999), ('CIN', 'Cincinnati Bengals',   'AFC', 'North', 'CIN', 1999),
    ('CLE', 'Cleveland Browns',      'AFC', 'North', 'CLE', 1999), ('PIT', 'Pittsburgh Steelers',  'AFC', 'North', 'PIT', 1999),
    ('HOU', 'Houston Texans',        'AFC', 'South', 'HOU', 2002), ('IND', 'Indianapolis Colts',   'AFC', 'South', 'IND', 1999),
    ('JAX', 'Jacksonville Jaguars',  'AFC', 'South', 'JAX', 1999), ('TEN', 'Tennessee Titans',     'AFC', 'South', 'TEN', 1999),
    ('DEN', 'Denver Broncos',        'AFC', 'West',  'DEN', 1999), ('KC',  'Kansas City Chiefs',   'AFC', 'West',  'KC',  1999),
    ('LAC', 'Los Angeles Chargers',  'AFC', 'West',  'LA',  1999), ('LV',  'Las Vegas Raiders',    'AFC', 'West',  'LV',  1999),
    ('DAL', 'Dallas Cowboys',        'NFC', 'East',  'DAL', 1999), ('NYG', 'New York Giants',      'NFC', 'East',  'NY',  1999),
    ('PHI', 'Philadelphia Eagles',   'NFC', 'East',  'PHI', 1999), ('WAS', 'Washington Commanders','NFC', 'East',  'WAS', 1999),
    ('CHI', 'Chicago Bears',         'NFC', 'North', 'CHI', 1999), ('DET', 'Detroit Lions',        'NFC', 'North', 'DET', 1999),
    ('GB',  'Green Bay Packers',     'NFC', 'North', 'GB',  1999), ('MIN', 'Minnesota Vikings',    'NFC', 'North', 'MIN', 1999),
    ('ATL', 'Atlanta Falcons',       'NFC', 'South', 'ATL', 1999), ('CAR', 'Carolina Panthers',    'NFC', 'South', 'CAR', 1999),
    ('NO',  'New Orleans Saints',    'NFC', 'South', 'NO',  1999), ('TB',  'Tampa Bay Buccaneers', 'NFC', 'South', 'TB',  1999),
    ('ARI', 'Arizona Cardinals',     'NFC', 'West',  'ARI', 1999), ('LA',  'Los Angeles Rams',     'NFC', 'West',  'LA',  1999),
    ('SEA', 'Seattle Seahawks',      'NFC', 'West',  'SEA', 1999), ('SF',  'San Francisco 49ers',  'NFC', 'West',  'SF',  1999);

INSERT INTO raw.players (player_id, team, position)
SELECT row_number() OVER (ORDER BY t.team, n), t.team,
       (ARRAY['QB', 'RB', 'WR', 'TE', 'OL', 'DL', 'LB', 'CB', 'S', 'K'])[1 + n % 10]
FROM raw.teams AS t CROSS JOIN generate_series(0, 29) AS n;

-- A season opens on the Thursday after Labor Day, which is the first Monday of September.
INSERT INTO raw.seasons (season, opening_thursday, weeks, playoff_teams)
SELECT season,
       make_date(season, 9, 1) + (8 - extract(isodow FROM make_date(season, 9, 1))::integer) % 7 + 3,
       CASE WHEN season >= 2021 THEN 18 ELSE 17 END,
       CASE WHEN season >= 2020 THEN 14 ELSE 12 END
FROM generate_series(seed.first_season(), 2025) AS season;

COMMIT;
