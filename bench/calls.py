"""What credit_call and atp_call share: a decision over the protocol against an empty C function that returns the same row."""


def floor(cluster, name, like):
    """floor makes a C function that returns the row of the verb `like` without deciding anything."""
    result = cluster.sql("SELECT pg_get_function_result('%s'::regproc)" % like)
    cluster.sql("CREATE OR REPLACE FUNCTION %s(text, text) RETURNS %s LANGUAGE c STABLE AS 'floor', 'floor_row'" % (name, result.replace("SETOF ", "")))


def call(cluster, report, verb, script, keys):
    """call compares a verb with its floor, 2 clients, prepared, random keys."""
    floor(cluster, "floor_" + verb, "distsync." + verb)
    empty = keys + "SELECT * FROM floor_%s('C', 'A');\n" % verb
    ours, peer, ratio = cluster.compare(keys + script, empty, clients=2, seconds=4, rounds=5)
    report(round(ours), "tps", peer="empty C function", peer_value=round(peer), ratio=round(ratio, 4))
