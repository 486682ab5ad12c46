# Customers at the door: what a restricted caller sees, and everything he may try to see more. Two customers, acme and rival, of which
# acme has a branch; a role for acme, and a role of a pooler whose clients show tokens.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(hmac_sha256);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::House;

my $node = house_node('portal');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION distsync; SELECT distsync.setup()');

sub sql { my ($query) = @_; return $node->safe_psql('postgres', $query) }

# as asks as a role, statement after statement, and gives what came out and every error
sub as
{
    my ($role, @statements) = @_;
    my ($out, $err) = ('', '');
    $node->psql('postgres', join(";\n", @statements) . ';', stdout => \$out, stderr => \$err, on_error_stop => 0, on_error_die => 0, extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ]);
    return ($out, $err);
}

# refused says whether a role's statement fails with a state, and whether the error tells anything that is not his
sub refused
{
    my ($role, $statement, $state, $what) = @_;
    my ($out, $err) = as($role, $statement);
    like($err, qr/ERROR:  $state:/, $what) or diag("$out\n$err");
    return unlike($out, qr/./, "$what: nothing came out");
}

# ---- the world ---------------------------------------------------------------------------------------------------------
sub told { my ($entity, $document) = @_; my $o = sql("SELECT outcome FROM distsync.apply('$entity', '$document', 'erp')"); $o eq 'applied' or die "$entity: $o"; return }
sql(q{SELECT distsync.add_system('erp', 'erp'), distsync.own('order', 'erp')});
told($_->[0], $_->[1]) for (
    [ currency => '{"currency": "USD"}' ],
    [ unit => '{"unit": "EA"}' ],
    [ company => '{"code": "US", "name": "Us", "currency": "USD"}' ],
    [ site => '{"code": "DC", "name": "Site", "company": "US"}' ],
    [ item => '{"sku": "A", "name": "Item", "base_unit": "EA"}' ],
    [ party => '{"code": "GROUP", "name": "Group", "roles": ["payer"], "currency": "USD"}' ],
    [ party => '{"code": "ACME", "name": "Acme", "parent": "GROUP", "roles": ["sold_to", "payer"], "currency": "USD"}' ],
    [ party => '{"code": "ACME-2", "name": "Branch of Acme", "parent": "ACME", "roles": ["ship_to", "sold_to"], "currency": "USD"}' ],
    [ party => '{"code": "RIVAL", "name": "Rival", "parent": "GROUP", "roles": ["sold_to", "payer"], "currency": "USD"}' ],
    [ party => '{"code": "PAIDBY", "name": "Paid by Rival", "payer": "RIVAL", "roles": ["sold_to"], "currency": "USD"}' ],
    [ credit_account => '{"code": "GROUP-AR", "customer": "GROUP", "currency": "USD", "limit": "777"}' ],
    [ credit_account => '{"code": "ACME-AR", "customer": "ACME", "parent": "GROUP-AR", "currency": "USD", "limit": "1000"}' ],
    [ credit_account => '{"code": "RIVAL-AR", "customer": "RIVAL", "parent": "GROUP-AR", "currency": "USD", "limit": "555"}' ],
    [ agreement => '{"code": "LIST", "slot": "list", "currency": "USD", "rates": [{"what": "A", "value": "10"}]}' ],
    [ agreement => '{"code": "K-RIVAL", "slot": "contract", "currency": "USD", "rates": [{"customer": "RIVAL", "what": "A", "value": "4.44"}]}' ],
    [ agreement => '{"code": "K-ACME", "slot": "contract", "currency": "USD", "rates": [{"customer": "ACME", "what": "A", "value": "9"}]}' ],
    [ stock_event => '{"event_id": "1", "kind": "count", "perspective": "phys", "sku": "A", "site": "DC", "state": "available", "quantity": "333", "unit": "EA", "event_at": "2026-01-01T00:00:00Z"}' ],
    [ invoice => '{"company": "US", "invoice_number": "I-ACME", "customer": "ACME", "currency": "USD", "net_amount": "50"}' ],
    [ invoice => '{"company": "US", "invoice_number": "I-RIVAL", "customer": "RIVAL", "currency": "USD", "net_amount": "66"}' ]);
sql(q{SELECT state FROM distsync.submit_order('{"order_number": "O-RIVAL", "company": "US", "customer": "RIVAL", "lines": [{"item": "A", "quantity": 1}]}', 'key-1')});
sql(q{CREATE ROLE portal_acme LOGIN IN ROLE distsync_portal; CREATE ROLE portal_nobody LOGIN IN ROLE distsync_portal; CREATE ROLE web_pool LOGIN IN ROLE distsync_portal;
	CREATE ROLE two_hats LOGIN IN ROLE distsync_portal, distsync_reader; CREATE ROLE shy LOGIN NOINHERIT IN ROLE distsync_portal;
	SELECT distsync.grant_scope('portal_acme', 'ACME', '{"reason": "contract"}'), distsync.grant_scope('two_hats', 'ACME'), distsync.grant_scope('shy', 'ACME')});
my $key = sql(q{SELECT distsync.rotate_scope_key('shop')});

# token makes a JWT; parts can be made wrong
sub token
{
    my (%with) = @_;
    my $head = { alg => 'HS256', typ => 'JWT', kid => 'shop', %{ $with{head} // {} } };
    my $claims = { aud => 'distsync', customers => ['ACME'], exp => time() + 300, %{ $with{claims} // {} } };
    delete $claims->{$_} for @{ $with{without} // [] };
    my $signed = join '.', map { encode_base64url($with{raw}{$_->[0]} // JSON::PP->new->utf8->canonical->encode($_->[1])) } [ head => $head ], [ claims => $claims ];
    return "$signed." . ($with{signature} // encode_base64url(hmac_sha256($signed, $with{key} // $key)));
}

# ---- what is his ---------------------------------------------------------------------------------------------------------
is_deeply([ as('portal_acme', 'SELECT customer, via FROM distsync.scope()') ], [ 'ACME|role portal_acme', '' ], 'he knows whose business he sees');
is_deeply([ as('portal_acme', q{SELECT unit_price, agreement, code, detail FROM distsync.price('ACME', 'A')}) ], [ '9.00|K-ACME|ok|', '' ], 'he asks for his price, and hears no more than a customer may');
is_deeply([ as('portal_acme', q{SELECT unit_price FROM distsync.price('ACME-2', 'A', 1, NULL, NULL, '{"ship_to": "ACME-2"}')}) ], [ '9.00', '' ], 'also for who is below him');
is_deeply([ as('portal_acme', q{SELECT unit_price FROM distsync.prices('ACME', '[{"item": "A", "quantity": 2}]')}) ], [ '9.00', '' ], 'for many lines');
is_deeply([ as('portal_acme', q{SELECT item, unit_price FROM distsync.price_sheet('ACME')}) ], [ 'A|9.00', '' ], 'and for all items');
is_deeply([ as('portal_acme', q{SELECT outcome, atp, on_hand, projected, detail FROM distsync.atp('A', 5, NULL, NULL, NULL, '{"customer": "ACME"}')}) ], [ 'available|5|||', '' ], 'whether it is there, but not how much there is');
is_deeply([ as('portal_acme', q{SELECT outcome, credit_limit, detail::text !~ '777|GROUP' FROM distsync.credit('ACME', 10, 'USD', '{"company": "US"}')}) ], [ 'approved||t', '' ], 'whether he has credit; the account of the group binds, and its limit is not his');
is_deeply([ as('portal_acme', q{SELECT document_number, open_amount FROM distsync.open_items('ACME')}) ], [ 'I-ACME|50.0000', '' ], 'what he owes');
my ($out, $err) = as('portal_acme', q{SELECT state, reasons, detail ->> 'policy' FROM distsync.preview_order('{"customer": "ACME", "company": "US", "lines": [{"item": "A", "quantity": 2}]}')},
    q{SELECT state, net_amount FROM distsync.submit_order('{"order_number": "O-ACME", "customer": "ACME", "company": "US", "lines": [{"item": "A", "quantity": 2}]}', 'key-1')},
    q{SELECT state, net_amount FROM distsync.submit_order('{"order_number": "O-ACME", "customer": "ACME", "company": "US", "lines": [{"item": "A", "quantity": 2}]}', 'key-1')},
    q{SELECT distsync.order_status('O-ACME') ->> 'state', distsync.order_status('O-ACME') ?| '{policy,audit,decisions,credit_account,exceptions}'},
    q{SELECT distsync.cancel_order('O-ACME', 'no longer', 'key-2') ->> 'state'});
is_deeply([ $out, $err ], [ "accepted|[]|\naccepted|18.00\naccepted|18.00\naccepted|f\ncancelled", '' ], 'he previews, submits (once for a key that a rival used too), follows and cancels an order');
is(sql(q{SELECT role FROM sync.audit WHERE verb = 'submit_order' AND entity_key = 'US/O-ACME'}), 'portal_acme', 'the audit knows it was he');

# ---- what is not ---------------------------------------------------------------------------------------------------------
my %asks = (
    price => q{SELECT * FROM distsync.price('%s', 'A')},
    'price for a ship-to of somebody else' => q{SELECT * FROM distsync.price('ACME', 'A', 1, NULL, NULL, '{"ship_to": "%s"}')},
    'price for a job of somebody else' => q{SELECT * FROM distsync.price('ACME', 'A', 1, NULL, NULL, '{"job": "%s"}')},
    prices => q{SELECT * FROM distsync.prices('%s', '[{"item": "A"}]')},
    price_sheet => q{SELECT * FROM distsync.price_sheet('%s')},
    explain_price => q{SELECT * FROM distsync.explain_price('%s', 'A', 1, NULL, NULL, '{"depth": "customer"}')},
    atp => q{SELECT * FROM distsync.atp('A', 1, NULL, NULL, NULL, '{"customer": "%s"}')},
    credit => q{SELECT * FROM distsync.credit('%s', 1, 'USD', '{"company": "US"}')},
    open_items => q{SELECT * FROM distsync.open_items('%s')},
    aging => q{SELECT * FROM distsync.aging('%s')},
    statement => q{SELECT * FROM distsync.statement('%s')},
    preview_order => q{SELECT * FROM distsync.preview_order('{"customer": "%s", "company": "US", "lines": [{"item": "A", "quantity": 1}]}')},
    submit_order => q{SELECT * FROM distsync.submit_order('{"customer": "%s", "company": "US", "lines": [{"item": "A", "quantity": 1}]}', 'key-3')},
    'an order shipped elsewhere' => q{SELECT * FROM distsync.submit_order('{"customer": "ACME", "ship_to": "%s", "company": "US", "lines": [{"item": "A", "quantity": 1}]}', 'key-4')});
for my $what (sort keys %asks)
{
    my %said;
    for my $whose ('RIVAL', 'GROUP', 'NOBODY')
    {
        refused('portal_acme', sprintf($asks{$what}, $whose), 'SD012', "$what: $whose");
        my (undef, $error) = as('portal_acme', sprintf($asks{$what}, $whose));
        $error =~ s/$whose/X/g;
        $error =~ s/^(?:LINE|LOCATION|CONTEXT).*//gms;
        $said{$error} = 1;
    }
    is(scalar keys %said, 1, "$what: who is there and who is not are the same error") or diag(explain(\%said));
    refused('portal_nobody', sprintf($asks{$what}, 'ACME'), 'SD012', "$what: who has no scope sees nobody");
}
refused('portal_acme', q{SELECT * FROM distsync.open_items('PAIDBY')}, 'SD012', 'items kept with a payer who is not his');
refused('portal_acme', q{SELECT distsync.order_status('O-RIVAL')}, 'SD001', 'the order of a rival');
refused('portal_acme', q{SELECT distsync.order_status('O-NONE')}, 'SD001', 'which is as unknown as one that is not there');
refused('portal_acme', q{SELECT distsync.cancel_order('O-RIVAL', 'sabotage', 'key-5')}, 'SD001', 'he can not cancel it');
is(sql(q{SELECT state FROM dist.sales_order WHERE order_number = 'O-RIVAL'}), 'accepted', 'it stands');
refused('portal_acme', q{SELECT * FROM distsync.explain_price('ACME', 'A')}, '42501', 'cost and floors');
refused('portal_acme', qq{SELECT * FROM distsync.price('ACME', 'A', 1, NULL, NULL, '{"$_->[0]": $_->[1]}')}, 'SD012', "price: option $_->[0] is not for customers") for [ 'drafts', '["K-ACME"]' ], [ 'channel', '"x"' ], [ 'source', '"erp"' ], [ 'known_at', '"2026-01-01T00:00:00Z"' ], [ 'context', '{}' ], [ 'document_key', '"x"' ], [ 'used', '{}' ];
refused('portal_acme', qq{SELECT * FROM distsync.atp('A', 1, NULL, NULL, NULL, '{"$_->[0]": $_->[1]}')}, 'SD012', "atp: option $_->[0] is not for customers") for [ 'detail', 'true' ], [ 'holder', '"x"' ], [ 'use_safety', 'true' ], [ 'channel', '"x"' ];
for my $member ([ 'payer', '"RIVAL"' ], [ 'policy', '{"priority": 1}' ], [ 'source', '"erp"' ], [ 'channel', '"x"' ], [ 'ordered_at', '"2020-01-01T00:00:00Z"' ], [ 'correlation_id', '"x"' ])
{
    refused('portal_acme', qq{SELECT * FROM distsync.submit_order('{"$member->[0]": $member->[1], "customer": "ACME", "company": "US", "lines": [{"item": "A", "quantity": 1}]}', 'key-6')}, 'SD012', "an order: $member->[0] is not for customers");
}
for my $member ([ 'unit_price', '"1"' ], [ 'net_amount', '"-1"' ], [ 'tax_amount', '"1"' ])
{
    refused('portal_acme', qq{SELECT * FROM distsync.submit_order('{"customer": "ACME", "company": "US", "lines": [{"item": "A", "quantity": 1, "$member->[0]": $member->[1]}]}', 'key-7')}, 'SD012', "a line: $member->[0] is not for customers");
}
for my $verb (split /\n/, sql(q{SELECT p.oid::regprocedure FROM pg_proc p JOIN distsync_internal.verb v ON v.name = p.proname WHERE p.pronamespace = 'distsync'::regnamespace AND NOT 'portal' = ANY (v.roles) ORDER BY 1}))
{
    is(sql("SELECT has_function_privilege('portal_acme', '$verb', 'EXECUTE')"), 'f', "$verb is not for portals");
}
is(sql(q{SELECT string_agg(p.proname, ' ' ORDER BY p.proname COLLATE "C") FROM pg_proc p WHERE p.pronamespace = 'distsync'::regnamespace AND has_function_privilege('portal_acme', p.oid, 'EXECUTE')}),
    'aging answer_offer atp authorise_return cancel_order cancel_return change_order credit events_since explain_price in_scope open_items order_status preview_order price price_sheet prices restricted return_status scope statement submit_order use_token', 'the verbs of portals are these');
is(sql(q{SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('dist', 'sync', 'distsync_internal') WHERE has_any_column_privilege('portal_acme', c.oid, 'SELECT,INSERT,UPDATE,REFERENCES') OR has_table_privilege('portal_acme', c.oid, 'DELETE,TRUNCATE,TRIGGER')}), '0', 'they have no table');

# ---- goods that come back, and what happened -----------------------------------------------------------------------------
for my $whose ('ACME', 'RIVAL')
{
    told(order => qq({"company": "US", "order_number": "F-$whose", "customer": "$whose", "lines": [{"line": 1, "item": "A", "quantity": 5, "unit_price": 4.44}]}));
    told(shipment => qq({"company": "US", "shipment_number": "S-$whose", "order_number": "F-$whose", "site": "DC", "lines": [{"order_line": 1, "quantity": 5}]}));
}
sql(q{SELECT distsync.authorise_return('{"company": "US", "return_number": "R-RIVAL", "order_number": "F-RIVAL", "reason": "secret", "lines": [{"order_line": 1, "quantity": 1}]}', 'key-20')});
($out, $err) = as('portal_acme', q{SELECT r ->> 'state', r ->> 'order_number', r -> 'lines' -> 0 ->> 'quantity', r ?| '{payer,authorised_by,source,moves_stock}' FROM distsync.authorise_return('{"company": "US", "order_number": "F-ACME", "reason": "too many", "lines": [{"order_line": 1, "quantity": 2}]}', 'key-20') r});
is_deeply([ $out, $err ], [ 'authorised|F-ACME|2.000000|f', '' ], 'he allows goods of his order to come back, with a key that somebody else used too');
my $return = sql(q{SELECT return_number FROM dist.customer_return WHERE return_number <> 'R-RIVAL'});
is(sql(qq{SELECT expires_at - authorised_at > '29 days' AND expires_at - authorised_at < '31 days', authorised_by FROM dist.customer_return WHERE return_number = '$return'}), 't|portal_acme', 'for as long as policy says, and it was he');
sql(qq{SELECT distsync.receive_return('$return', NULL, 'key-23')});
is_deeply([ as('portal_acme', qq{SELECT r ->> 'state', r -> 'lines' -> 0 ->> 'received', r ?| '{payer,authorised_by,source,moves_stock,audit}', r -> 'steps' -> 0 ?| '{by,note,state}' FROM distsync.return_status('$return') r}) ], [ 'received|2.000000|f|f', '' ], 'he follows it, and hears not who did what');
is_deeply([ as('portal_acme', q{SELECT r ->> 'state' FROM distsync.cancel_return((SELECT r ->> 'return_number' FROM distsync.authorise_return('{"company": "US", "order_number": "F-ACME", "lines": [{"order_line": 1, "quantity": 1}]}', 'key-21') r), 'found it', 'key-22') r}) ], [ 'cancelled', '' ], 'and takes one back');
my %more;
for my $whose ('F-RIVAL', 'F-NONE')
{
    refused('portal_acme', qq{SELECT distsync.authorise_return('{"company": "US", "order_number": "$whose", "lines": [{"order_line": 1, "quantity": 1}]}', 'key-20')}, 'SD001', "goods of the order $whose");
    (undef, $err) = as('portal_acme', qq{SELECT distsync.authorise_return('{"company": "US", "order_number": "$whose", "lines": [{"order_line": 9, "quantity": 99}]}')});
    $more{$err =~ s/$whose/X/gr =~ s/^(?:LINE|LOCATION|CONTEXT).*//gmsr} = 1;
}
for my $whose ('R-RIVAL', 'R-NONE')
{
    refused('portal_acme', "SELECT distsync.return_status('$whose')", 'SD001', "the return $whose");
    refused('portal_acme', "SELECT distsync.cancel_return('$whose', 'sabotage', 'key-20')", 'SD001', "taking back the return $whose");
    (undef, $err) = as('portal_acme', "SELECT distsync.return_status('$whose')");
    $more{$err =~ s/$whose/X/gr =~ s/^(?:LINE|LOCATION|CONTEXT).*//gmsr} = 1;
}
is(scalar keys %more, 2, 'what is a rival\'s and what is not there are the same errors') or diag(explain(\%more));
is(sql(q{SELECT state FROM dist.customer_return WHERE return_number = 'R-RIVAL'}), 'authorised', 'the return of the rival stands');
refused('portal_acme', q{SELECT distsync.authorise_return('{"company": "US", "order_number": "F-ACME", "lines": [{"order_line": 1, "quantity": 4}]}')}, 'SD002', 'no more comes back than has left');
refused('portal_acme', qq{SELECT distsync.authorise_return('{"company": "US", "order_number": "F-ACME", "$_->[0]": $_->[1], "lines": [{"order_line": 1, "quantity": 1}]}')}, 'SD012', "a return: $_->[0] is not for customers")
    for [ 'return_number', '"R-RIVAL"' ], [ 'site', '"DC"' ], [ 'expires_at', '"2099-01-01"' ], [ 'moves_stock', 'false' ], [ 'source', '"erp"' ], [ 'customer', '"RIVAL"' ];
refused('portal_acme', q{SELECT distsync.authorise_return('{"company": "US", "order_number": "F-ACME", "lines": [{"order_line": 1, "quantity": 1, "received": 1}]}')}, 'SD012', 'nor may he say that it came');
refused('portal_acme', "SELECT distsync.$_", '42501', "$_ is for who has the goods") for qq{receive_return('$return', NULL)}, qq{inspect_return('$return', '[]')}, qq{credit_return('$return')};
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM sync.event WHERE event_type = 'return.cancelled'}) or die 'nothing was routed';
is_deeply([ as('portal_acme', q{SELECT event_type, entity_key, position IS NULL AND body IS NULL AND entity_version IS NULL AND next_position = 'm' || message_id FROM distsync.events_since(NULL, '{"customer": "ACME", "entity_key": "US/F-ACME"}')}) ],
    [ "order.booked|US/F-ACME|t\norder.shipped|US/F-ACME|t", '' ], 'he hears what happened to his order, and no more');
is_deeply([ as('portal_acme', q{SELECT string_agg(DISTINCT entity, ' ' ORDER BY entity), bool_or(entity_key ~ 'RIVAL') FROM distsync.events_since(NULL, '{"customer": "ACME"}')}) ], [ 'invoice order return|f', '' ], 'nothing of accounts, shipments and rivals');
my ($last) = as('portal_acme', q{SELECT next_position FROM distsync.events_since('latest', '{"customer": "ACME"}')});
is_deeply([ as('portal_acme', qq{SELECT count(*) FROM distsync.events_since('$last', '{"customer": "ACME"}')}) ], [ '0', '' ], 'he goes on from where he was');
is_deeply([ as('portal_acme', q{SELECT count(*) FROM distsync.events_since(NULL, '{"customer": "ACME-2"}')}) ], [ '0', '' ], 'of who is below him too');
refused('portal_acme', q{SELECT * FROM distsync.events_since()}, 'SD005', 'he names the customer');
refused('portal_acme', qq{SELECT * FROM distsync.events_since(NULL, '{"customer": "$_"}')}, 'SD012', "events of $_") for 'RIVAL', 'GROUP', 'NOBODY';
my $theirs = sql(q{SELECT 'm' || message_id FROM sync.event e JOIN dist.party p ON p.party_id = e.customer_id WHERE p.code = 'RIVAL' ORDER BY position LIMIT 1});
refused('portal_acme', qq{SELECT * FROM distsync.events_since('$_', '{"customer": "ACME"}')}, 'SD083', 'a message of a rival, and one that is not there, are no position') for $theirs, 'm00000000-0000-4000-8000-000000000000';
refused('portal_acme', qq{SELECT * FROM distsync.events_since('$_', '{"customer": "ACME"}')}, 'SD002', "nor is $_") for 'e1', 'm', "x'' OR true";

# ---- becoming somebody else ----------------------------------------------------------------------------------------------
is_deeply([ as('portal_acme', "SET distsync.app_user = 'postgres'", "SET app.scope = 'RIVAL'", "SELECT set_config('app.restricted', 'off', false)",
    'SELECT distsync.restricted()', 'SELECT customer FROM distsync.scope()') ]->[0], "off\nt\nACME", 'no setting makes him somebody else');
refused('portal_acme', 'SET ROLE distsync_reader', '42501', 'he can not become a reader');
refused('portal_acme', q{SELECT * FROM distsync_internal.master_scope_take(ARRAY[1::bigint], 'infinity')}, '42501', 'nor call what takes the word of a token');
refused('two_hats', q{SELECT * FROM distsync.price('RIVAL', 'A')}, 'SD012', 'a reader who is a portal too is a portal');
is_deeply([ as('two_hats', 'SET ROLE distsync_reader', 'SELECT distsync.restricted()') ], [ 't', '' ], 'also after he has become a reader only');
is_deeply([ as('two_hats', q{SELECT code FROM dist.party ORDER BY 1}, 'SELECT count(*) FROM dist.invoice', 'SELECT count(*) FROM sync.system', 'SELECT count(*) FROM dist.item', 'SELECT count(*) FROM dist.credit_limit', 'SELECT count(*) FROM dist.credit_account') ],
    [ "ACME\nACME-2\n1\n0\n1\n0\n1", '' ], 'tables show him the rows of his customers, and none of what has no customer');
is_deeply([ as('two_hats', q{PREPARE p AS SELECT code FROM dist.party WHERE code = 'RIVAL'}, 'EXECUTE p', q{COPY (SELECT code FROM dist.party WHERE code = 'RIVAL') TO STDOUT}, q{DECLARE c CURSOR WITH HOLD FOR SELECT code FROM dist.party WHERE code = 'RIVAL'}, 'FETCH ALL FROM c',
    q{DO 'BEGIN IF EXISTS (SELECT FROM dist.party WHERE code = ''RIVAL'') THEN RAISE ''seen''; END IF; END'}) ], [ '', '' ], 'whatever way he reads them');
sql(q{CREATE SCHEMA trick; GRANT ALL ON SCHEMA trick TO two_hats, portal_acme; CREATE FUNCTION trick.wrapped(c text) RETURNS numeric LANGUAGE sql SECURITY DEFINER AS 'SELECT unit_price FROM distsync.price(c, ''A'')';
	GRANT EXECUTE ON FUNCTION trick.wrapped(text) TO portal_acme});
refused('portal_acme', q{SELECT trick.wrapped('RIVAL')}, 'SD012', 'a function of a superuser asks for him, not for its owner');
my (undef, $leak) = as('two_hats', q{CREATE FUNCTION trick.leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN RAISE NOTICE ''leaked %'', t; RETURN true; END'}, 'SELECT count(*) FROM dist.party WHERE trick.leak(code)');
unlike($leak, qr/leaked RIVAL/, 'a function in WHERE sees no row before the policy');
like($leak, qr/leaked ACME/, 'though it sees his');
my ($shadow) = as('portal_acme', q{CREATE TEMP TABLE party (party_id bigint, parent_id bigint, code text)}, q{CREATE FUNCTION pg_temp.restricted() RETURNS boolean LANGUAGE sql AS 'SELECT false'}, 'SET search_path = pg_temp, distsync, dist, sync, distsync_internal, pg_catalog',
    q{SELECT count(*) FROM distsync.scope()}, q{SELECT distsync.in_scope(party_id) FROM (VALUES (0::bigint)) v(party_id)});
is($shadow, "1\nf", 'what he puts into his search path changes nothing');
refused('shy', q{SET ROLE distsync_portal; SELECT * FROM distsync.price('RIVAL', 'A')}, 'SD012', 'who does not inherit is restricted all the same');
sql(q{GRANT SELECT ON dist.party, dist.sales_order TO portal_acme; GRANT USAGE ON SCHEMA dist TO portal_acme});
is_deeply([ as('portal_acme', 'SELECT code FROM dist.party ORDER BY 1', 'SELECT order_number FROM dist.sales_order ORDER BY 1') ], [ "ACME\nACME-2\nF-ACME\nO-ACME", '' ], 'a table given by mistake is cut to his rows');
is(sql('SELECT count(*) FROM dist.party'), '5', 'everybody else sees all');
is_deeply([ as('portal_acme', 'UPDATE dist.party SET name = code') ]->[1] =~ /42501/, 1, 'and writes none');

# ---- tokens, through a pooler --------------------------------------------------------------------------------------------
is_deeply([ as('web_pool', 'SELECT count(*) FROM distsync.scope()') ], [ '0', '' ], 'without a token the pooler sees nobody');
my ($acme, $rival) = (token(), token(claims => { customers => [ 'RIVAL', 'NOBODY' ], sub => 'ann@rival' }));
is_deeply([ as('web_pool', 'BEGIN', "SELECT distsync.use_token('$acme')", q{SELECT customer, via FROM distsync.scope()}, q{SELECT unit_price FROM distsync.price('ACME-2', 'A')}, 'COMMIT') ], [ "1\nACME|token\n9.00", '' ], 'a token gives its customers');
is_deeply([ as('web_pool', 'BEGIN', "SELECT distsync.use_token('$rival')", q{SELECT unit_price FROM distsync.price('RIVAL', 'A')}, q{SELECT current_setting('distsync.app_user')}, 'COMMIT', 'SELECT count(*) FROM distsync.scope()') ],
    [ "1\n4.44\nann\@rival\n0", '' ], 'until the transaction ends: the next client of the same backend has nothing of it');
for my $end ('ROLLBACK', 'COMMIT AND CHAIN', 'ROLLBACK AND CHAIN')
{
    my ($after) = as('web_pool', 'BEGIN', "SELECT distsync.use_token('$acme')", $end, 'SELECT count(*) FROM distsync.scope()', 'ROLLBACK');
    is($after, "1\n0", "nor after $end");
}
is_deeply([ as('web_pool', "SELECT distsync.use_token('$acme')", 'SELECT count(*) FROM distsync.scope()') ], [ "1\n0", '' ], 'nor outside of a transaction block');
my ($chained, $why) = as('web_pool', 'BEGIN', "SELECT distsync.use_token('$acme')", 'SAVEPOINT s', "SELECT distsync.use_token('$rival')", 'ROLLBACK TO s', q{SELECT customer FROM distsync.scope()}, q{SELECT unit_price FROM distsync.price('RIVAL', 'A')}, 'ROLLBACK');
is($chained, "1\nACME", 'a second token does not widen the first');
like($why, qr/SD013:.*Reason: second.*SD012/s, 'it is refused');
my ($held) = as('web_pool', 'BEGIN', "SELECT distsync.use_token('$acme')", q{PREPARE q AS SELECT unit_price FROM distsync.price('ACME', 'A')}, 'EXECUTE q', 'COMMIT', 'EXECUTE q');
is($held, "1\n9.00", 'what was prepared under a token asks anew');
is_deeply([ as('web_pool', 'BEGIN', "SELECT distsync.use_token('$acme')", q{PREPARE TRANSACTION 'x'}, 'SELECT count(*) FROM distsync.scope()') ]->[0], "1\n0", 'a prepared transaction takes it along or fails');
my ($short) = as('web_pool', 'BEGIN', q{SELECT distsync.use_token('} . token(claims => { exp => time() + 2 }) . q{')}, 'SELECT pg_sleep(2.5)', q{SELECT unit_price FROM distsync.price('ACME', 'A')}, 'ROLLBACK');
unlike($short, qr/9/, 'a token that ends in the middle of a transaction has ended');

my %wrong = (
    'no algorithm' => token(head => { alg => 'none' }),
    'no algorithm, no signature' => token(head => { alg => 'none' }, signature => ''),
    'another algorithm' => token(head => { alg => 'HS512' }),
    'signed by somebody else' => token(key => 'x' x 64),
    'signed with nothing' => token(key => ''),
    'an unknown key' => token(head => { kid => 'nothing' }),
    'a key name with a path' => token(head => { kid => "../shop' OR true --" }),
    'no key name' => token(head => { kid => undef }),
    'critical extensions' => token(head => { crit => ['b64'] }),
    'for another system' => token(claims => { aud => 'elsewhere' }),
    'for nobody' => token(without => ['aud']),
    'over' => token(claims => { exp => time() - 1 }),
    'without an end' => token(without => ['exp']),
    'with an end in words' => token(claims => { exp => 'never' }),
    'with an end beyond all' => token(claims => { exp => 1e300 }),
    'good for years' => token(claims => { exp => time() + 100_000_000 }),
    'not yet' => token(claims => { nbf => time() + 3600 }),
    'without customers' => token(without => ['customers']),
    'with an empty list' => token(claims => { customers => [] }),
    'with customers that are none' => token(claims => { customers => [ 1, {}, undef ] }),
    'with unknown customers' => token(claims => { customers => ['NOBODY'] }),
    'with 101 customers' => token(claims => { customers => [ ('ACME') x 101 ] }),
    'a customer for a list' => token(claims => { customers => 'ACME' }),
    'broken claims' => token(raw => { claims => '{"aud":"distsync"' }),
    'claims that are no object' => token(raw => { claims => '[]' }),
    'bytes' => token(raw => { claims => "\xff\x00\xfe" }),
    'deep claims' => token(raw => { claims => '[' x 3000 }),
    'a NUL' => token(raw => { claims => '{"aud":"distsync","customers":["\u0000"],"exp":9999999999}' }),
    'one part' => 'abc', 'empty' => '', 'dots' => '...', 'long' => 'a.' . ('b' x 100_000) . '.c', 'padded' => token() . '=', 'spaces' => ' ' . token(),
    'four parts' => token() . '.x', 'cut' => substr(token(), 0, -1), 'a quote' => q{a''.b.c});
for my $what (sort keys %wrong)
{
    my ($came, $error) = as('web_pool', 'BEGIN', "SELECT distsync.use_token('$wrong{$what}')", 'ROLLBACK', 'SELECT count(*) FROM distsync.scope()');
    is($came, '0', "token $what: gives nothing");
    like($error, qr/ERROR:  SD013: the token was refused.*Reason: \w+\./s, "token $what: is refused");
    $error =~ s/^LINE.*//gms;
    unlike($error, qr/\Q$key\E/, "token $what: the error does not show the key");
}
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/\Q$key\E/, 'nor does the log');

# ---- keys and grants that end ----------------------------------------------------------------------------------------------
my $old = token();
my $fresh = sql(q{SELECT distsync.rotate_scope_key('shop', NULL, '1 hour')});
isnt($fresh, $key, 'a key is changed');
is_deeply([ as('web_pool', "SELECT distsync.use_token('$old')") ], [ '1', '' ], 'the old one counts beside it');
is_deeply([ as('web_pool', 'SELECT distsync.use_token(\'' . token(key => $fresh) . '\')') ], [ '1', '' ], 'the new one at once');
sql(q{SELECT distsync.rotate_scope_key('shop', NULL, '0')});
like([ as('web_pool', "SELECT distsync.use_token('$old')") ]->[1], qr/SD013/, 'without overlap the old ones are over');
is(sql(q{SELECT distsync.revoke_scope('portal_acme', 'ACME', 'moved on')}), 't', 'a scope is taken back');
refused('portal_acme', q{SELECT * FROM distsync.price('ACME', 'A')}, 'SD012', 'and is gone');
sql(q{SELECT distsync.grant_scope('portal_acme', 'ACME', '{"from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}')});
refused('portal_acme', q{SELECT * FROM distsync.price('ACME', 'A')}, 'SD012', 'one that has ended gives nothing');
my ($channel) = as('portal_acme', 'LISTEN distsync_order', q{SELECT pg_notify('distsync_order', 'x')});
sql(q{SET distsync.notify = 'trigger'; SELECT state FROM distsync.submit_order('{"order_number": "O-BELL", "company": "US", "customer": "RIVAL", "lines": [{"item": "A", "quantity": 1}]}', 'key-9')});
is(sql('SELECT count(*) FROM distsync.verify()'), '0', 'the books are right');
$node->stop;
done_testing();
