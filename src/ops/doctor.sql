-- doctor(): what is wrong here, why it matters and the SQL that mends it. Every check is a handler of kind doctor; other rooms add theirs.

-- doctor does the asking of every check. One that fails itself is a finding too, and stops no other.
CREATE FUNCTION distsync.doctor() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	h record;
	message text;
BEGIN
	FOR h IN SELECT r.name, r.function FROM distsync_internal.handler r WHERE r.kind = 'doctor' AND (distsync_internal.ops_is_set_up() OR r.name = 'server')
		ORDER BY r.ordinal, r.name COLLATE "C"
	LOOP
		BEGIN
			FOR check_name, ok, detail, hint, sql_to_fix IN EXECUTE format('SELECT * FROM %s()', h.function) LOOP
				ok := COALESCE(ok, false);
				IF ok THEN
					hint := NULL; sql_to_fix := NULL;
				END IF;
				RETURN NEXT;
			END LOOP;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
			RETURN QUERY SELECT h.name, false, format('the check failed: %s (%s)', message, SQLSTATE), 'Call the function by hand as a superuser to see more.', format('SELECT * FROM %s();', h.function);
		END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync.doctor() IS
	'A row for each check, in the order in which to mend: name, whether it is fine, what was found, what to do, and SQL to do it where SQL can. docs/operations.md says what each row means. Reads only; works on a standby and before setup().';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('doctor', '{operator,admin}');
