-- credit_readers.sql: what readers of t/091_credit_fire.pl ask, and what must be true of each answer by itself; and the act of a client, step().
\set ON_ERROR_STOP 1

-- read does a question to credit: terms add up, answer and explanation of one snapshot are the same, and a snapshot that lasts says the same again.
CREATE FUNCTION fire.read(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	account text := fire.some_account();
	much numeric := floor(400 * random());
	opt jsonb := jsonb_build_object('at', clock_timestamp());
	c record;
	d record;
BEGIN
	SELECT x.*, e.e, (SELECT sum(t.value::numeric) FROM jsonb_each_text(e.e->'exposure') t) AS terms, (SELECT sum(t.value::numeric) FROM jsonb_each_text(x.detail->'terms') t) AS told INTO c
	FROM distsync.credit(account, much, 'USD', opt) x, (SELECT distsync.explain_credit(account, much, 'USD', opt) AS e OFFSET 0) e;
	IF (c.outcome = 'approved') <> (c.reasons = '[]') OR c.credit_limit - c.exposure <> c.headroom OR c.terms <> c.exposure OR COALESCE(c.told, 0) <> c.exposure OR c.exposure <> (c.e->>'total')::numeric OR c.outcome <> c.e->>'outcome'
		OR c.reasons <> c.e->'reasons' OR c.cure IS DISTINCT FROM (c.e->>'cure')::numeric OR c.outcome = 'approved' AND c.headroom < much AND c.e->>'passed_by' IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = format('credit of %s does not add up', account), DETAIL = to_jsonb(c)::text;
	END IF;
	IF current_setting('transaction_isolation') = 'repeatable read' THEN
		PERFORM pg_sleep(.02 * random());
		SELECT x.* INTO d FROM distsync.credit(account, much, 'USD', opt) x;
		IF (d.outcome, d.exposure, d.headroom, d.reasons, d.cure) IS DISTINCT FROM (c.outcome, c.exposure, c.headroom, c.reasons, c.cure) THEN
			RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = format('credit of %s changed within a snapshot', account), DETAIL = format('%s, then %s', to_jsonb(c), to_jsonb(d));
		END IF;
	END IF;
	PERFORM fire.note(client, 'read', account, NULL, much);
END
$$;

-- look does the comparing, in one snapshot, of what accounts count with what they may, and of groups with what is below them.
CREATE FUNCTION fire.look(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c jsonb;
BEGIN
	SELECT to_jsonb(x) INTO c FROM (SELECT * FROM fire.wrong_highest LIMIT 1) x;
	IF c IS NULL THEN
		SELECT to_jsonb(x) INTO c FROM (SELECT * FROM fire.wrong_parents LIMIT 1) x;
	END IF;
	IF c IS NULL THEN
		SELECT to_jsonb(x) INTO c FROM (SELECT * FROM fire.wrong_sums LIMIT 1) x;
	END IF;
	IF c IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = 'what accounts count is wrong', DETAIL = c::text;
	END IF;
	PERFORM fire.note(client, 'look', NULL, NULL, NULL);
END
$$;

-- step does one random act of a client.
CREATE FUNCTION fire.step(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	dice integer := floor(random() * 100);
BEGIN
	PERFORM FROM fire.client c WHERE c.client = step.client FOR UPDATE;
	CASE
	WHEN dice < 25 THEN PERFORM fire.submit(client);
	WHEN dice < 28 THEN PERFORM fire.again(client);
	WHEN dice < 32 THEN PERFORM fire.cancel(client);
	WHEN dice < 45 THEN PERFORM fire.ship(client);
	WHEN dice < 57 THEN PERFORM fire.bill(client);
	WHEN dice < 71 THEN PERFORM fire.pay(client);
	WHEN dice < 73 THEN PERFORM fire.bounce(client);
	WHEN dice < 76 THEN PERFORM fire.claim(client);
	WHEN dice < 80 THEN PERFORM fire.limits(client);
	WHEN dice < 82 THEN PERFORM fire.rule(client);
	WHEN dice < 87 THEN PERFORM fire.hold(client);
	WHEN dice < 92 THEN PERFORM fire.answer(client);
	WHEN dice < 94 THEN PERFORM fire.agree(client);
	WHEN dice < 95 THEN PERFORM fire.days(client);
	WHEN dice < 96 THEN PERFORM fire.day(client);
	ELSE PERFORM fire.read(client);
	END CASE;
END
$$;
