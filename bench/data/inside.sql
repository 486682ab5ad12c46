-- inside.sql: what measures inside the server need: the time a session spent, and arithmetic that looks random.
CREATE SCHEMA bench;
-- spent: processor time of this session so far, in microseconds
CREATE FUNCTION bench.spent() RETURNS double precision LANGUAGE sql VOLATILE RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::double precision / 1000;
CREATE FUNCTION bench.pick(n bigint, choices bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN 1 + (hashint8extended(n, 0) & 9223372036854775807) % choices;
