-- http_guard: what workers never connect to and never send. The driver asks the same functions with the address it is
-- about to connect to; test/http tries that for real.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS distsync;
RESET client_min_messages;

CREATE TEMP TABLE address (n int GENERATED ALWAYS AS IDENTITY, addr text, reason text, with_private text);
INSERT INTO address (addr, reason, with_private) VALUES
	('127.0.0.1', 'loopback', NULL), ('127.255.255.254', 'loopback', NULL), ('127.1', 'loopback', NULL), ('127.0.1', 'loopback', NULL),
	('0x7f.1', 'loopback', NULL), ('0x7f000001', 'loopback', NULL), ('0177.0.0.1', 'loopback', NULL), ('2130706433', 'loopback', NULL),
	('017700000001', 'loopback', NULL), ('0x7F.0x0.0x0.0x1', 'loopback', NULL),
	('0.0.0.0', 'this_network', 'this_network'), ('0', 'this_network', 'this_network'), ('0.1.2.3', 'this_network', 'this_network'),
	('10.0.0.0', 'private', NULL), ('10.255.255.255', 'private', NULL), ('167772161', 'private', NULL), ('10.1', 'private', NULL),
	('172.16.0.1', 'private', NULL), ('172.31.255.255', 'private', NULL), ('192.168.0.1', 'private', NULL), ('192.168.255.255', 'private', NULL),
	('0xc0.0xa8.0.1', 'private', NULL), ('192.168.257', 'private', NULL),
	('100.64.0.1', 'carrier_nat', NULL), ('100.127.255.255', 'carrier_nat', NULL),
	('169.254.169.254', 'metadata', 'metadata'), ('2852039166', 'metadata', 'metadata'), ('0xa9.0xfe.0xa9.0xfe', 'metadata', 'metadata'),
	('0251.0376.0251.0376', 'metadata', 'metadata'), ('169.254.43518', 'metadata', 'metadata'), ('169.254.170.2', 'metadata', 'metadata'),
	('100.100.100.200', 'metadata', 'metadata'), ('168.63.129.16', 'metadata', 'metadata'), ('192.0.0.192', 'metadata', 'metadata'),
	('169.254.0.1', 'link_local', 'link_local'), ('169.254.255.255', 'link_local', 'link_local'),
	('192.0.0.1', 'protocol_assignment', 'protocol_assignment'), ('192.0.2.1', 'documentation', 'documentation'),
	('198.51.100.7', 'documentation', 'documentation'), ('203.0.113.9', 'documentation', 'documentation'),
	('192.88.99.1', '6to4', '6to4'), ('198.18.0.1', 'benchmarking', 'benchmarking'), ('198.19.255.255', 'benchmarking', 'benchmarking'),
	('192.52.193.1', 'multicast_tunnel', 'multicast_tunnel'), ('192.31.196.1', 'anycast_sink', 'anycast_sink'), ('192.175.48.1', 'anycast_sink', 'anycast_sink'),
	('224.0.0.1', 'multicast', 'multicast'), ('239.255.255.255', 'multicast', 'multicast'), ('240.0.0.1', 'reserved', 'reserved'),
	('255.255.255.254', 'reserved', 'reserved'), ('255.255.255.255', 'broadcast', 'broadcast'), ('4294967295', 'broadcast', 'broadcast'),
	('::', 'unspecified', 'unspecified'), ('::1', 'loopback', NULL), ('[::1]', 'loopback', NULL), ('0:0:0:0:0:0:0:1', 'loopback', NULL),
	('::ffff:127.0.0.1', 'loopback', NULL), ('::ffff:7f00:1', 'loopback', NULL), ('[::ffff:10.0.0.1]', 'private', NULL),
	('::ffff:169.254.169.254', 'metadata', 'metadata'), ('0:0:0:0:0:ffff:a9fe:a9fe', 'metadata', 'metadata'), ('::ffff:0.0.0.0', 'this_network', 'this_network'),
	('::127.0.0.1', 'v4_compatible', 'v4_compatible'), ('::a00:1', 'v4_compatible', 'v4_compatible'), ('::ffff:0:127.0.0.1', 'v4_translated', 'v4_translated'),
	('64:ff9b::7f00:1', 'nat64', 'nat64'), ('64:ff9b::169.254.169.254', 'nat64', 'nat64'), ('64:ff9b:1::a00:1', 'nat64', 'nat64'),
	('2002:7f00:1::', '6to4', '6to4'), ('2002:a9fe:a9fe::1', '6to4', '6to4'), ('2001:0:4136:e378:8000:63bf:3fff:fdd2', 'teredo', 'teredo'),
	('2001:2::1', 'benchmarking', 'benchmarking'), ('2001:10::1', 'orchid', 'orchid'), ('2001:20::1', 'orchid', 'orchid'),
	('2001:1::1', 'protocol_assignment', 'protocol_assignment'), ('2001:db8::1', 'documentation', 'documentation'), ('3fff::1', 'documentation', 'documentation'),
	('100::1', 'discard', 'discard'), ('100:0:0:1::1', 'discard', 'discard'), ('5f00::1', 'segment_routing', 'segment_routing'),
	('fc00::1', 'private', NULL), ('fdff:ffff::1', 'private', NULL), ('fd00:ec2::254', 'metadata', 'metadata'), ('fd20:ce::254', 'metadata', 'metadata'),
	('fe80::1', 'link_local', 'link_local'), ('fe80::1%eth0', 'link_local', 'link_local'), ('febf::1', 'link_local', 'link_local'),
	('fec0::1', 'site_local', 'site_local'), ('ff02::1', 'multicast', 'multicast'), ('4000::1', 'reserved', 'reserved'), ('e000::1', 'reserved', 'reserved'),
	('2620:4f:8000::1', 'anycast_sink', 'anycast_sink'),
	-- no addresses
	('', 'not_an_address', 'not_an_address'), ('erp.example.com', 'not_an_address', 'not_an_address'), ('1.2.3.4.5', 'not_an_address', 'not_an_address'),
	('256.1.1.1', 'not_an_address', 'not_an_address'), ('08.8.8.8', 'not_an_address', 'not_an_address'), ('127.0.0.1 x', 'not_an_address', 'not_an_address'),
	('127.0.0.1.', 'not_an_address', 'not_an_address'), (':::1', 'not_an_address', 'not_an_address'), ('::ffff:0x7f.0.0.1', 'not_an_address', 'not_an_address'),
	('1::2::3', 'not_an_address', 'not_an_address'), ('10.0.0.1/8', 'not_an_address', 'not_an_address'), (repeat('1', 100), 'not_an_address', 'not_an_address'),
	(NULL, 'missing', 'missing'),
	-- the neighbours of every block are the public's
	('1.0.0.0', NULL, NULL), ('8.8.8.8', NULL, NULL), ('9.255.255.255', NULL, NULL), ('11.0.0.0', NULL, NULL), ('100.63.255.255', NULL, NULL), ('100.128.0.0', NULL, NULL),
	('126.255.255.255', NULL, NULL), ('128.0.0.0', NULL, NULL), ('169.253.255.255', NULL, NULL), ('169.255.0.0', NULL, NULL), ('168.63.129.17', NULL, NULL),
	('172.15.255.255', NULL, NULL), ('172.32.0.0', NULL, NULL), ('192.0.1.0', NULL, NULL), ('192.0.3.0', NULL, NULL), ('192.167.255.255', NULL, NULL),
	('192.169.0.0', NULL, NULL), ('198.17.255.255', NULL, NULL), ('198.20.0.0', NULL, NULL), ('223.255.255.255', NULL, NULL), ('134744072', NULL, NULL),
	('2000::1', NULL, NULL), ('2001:200::1', NULL, NULL), ('2003::1', NULL, NULL), ('2606:4700:4700::1111', NULL, NULL), ('::ffff:8.8.8.8', NULL, NULL), ('3ffe::1', NULL, NULL);
SELECT count(*) AS addresses, count(reason) AS refused, count(*) - count(reason) AS allowed FROM address;
SELECT addr, reason, distsync_internal.http_address_refused(addr) AS said, with_private, distsync_internal.http_address_refused(addr, true) AS said_with_private
FROM address
WHERE distsync_internal.http_address_refused(addr) IS DISTINCT FROM reason OR distsync_internal.http_address_refused(addr, true) IS DISTINCT FROM with_private
ORDER BY n;

CREATE TEMP TABLE url (n int GENERATED ALWAYS AS IDENTITY, url text, reason text);
INSERT INTO url (url, reason) VALUES
	-- every spelling of an address
	('https://127.0.0.1/', 'loopback'), ('https://127.1/', 'loopback'), ('https://2130706433/', 'loopback'), ('https://0x7f.1/', 'loopback'),
	('https://0x7f000001/', 'loopback'), ('https://0177.0.0.1/', 'loopback'), ('https://0/', 'this_network'), ('https://127.0.0.1./', 'loopback'),
	('https://127.0.0.1:8443/x?y=z', 'loopback'), ('https://[::1]/', 'loopback'), ('https://[::ffff:127.0.0.1]/', 'loopback'), ('https://[::127.0.0.1]/', 'v4_compatible'),
	('https://[64:ff9b::7f00:1]/', 'nat64'), ('https://[fe80::1]/', 'link_local'), ('https://10.0.0.1/', 'private'), ('https://169.254.169.254/latest/meta-data/', 'metadata'),
	('https://2852039166/', 'metadata'), ('https://[::ffff:a9fe:a9fe]/', 'metadata'), ('https://[fd00:ec2::254]/', 'metadata'), ('https://100.64.0.1/', 'carrier_nat'),
	('https://224.0.0.1/', 'multicast'), ('https://255.255.255.255/', 'broadcast'),
	-- names that lead inside
	('https://localhost/', 'inner_name'), ('https://LOCALHOST/', 'inner_name'), ('https://localhost./', 'inner_name'), ('https://a.localhost/', 'inner_name'),
	('https://erp.internal/', 'inner_name'), ('https://printer.local/', 'inner_name'), ('https://metadata.google.internal/', 'metadata'), ('https://metadata/', 'metadata'),
	-- what looks like one thing and is another
	('https://user@example.com/', 'userinfo'), ('https://user:secret@example.com/', 'userinfo'), ('https://example.com@127.0.0.1/', 'userinfo'), ('https://@example.com/', 'userinfo'),
	('https://127.0.0.1#@example.com/', 'fragment'), ('https://example.com#frag', 'fragment'), ('https://example.com\@127.0.0.1/', 'malformed'), ('https:\\127.0.0.1/', 'malformed'),
	('https://%31%32%37.0.0.1/', 'host'), ('https://127.0.0.1%00.example.com/', 'host'), ('https://[fe80::1%25eth0]/', 'host'), ('https://[example.com]/', 'host'),
	('https://[127.0.0.1]/', 'host'), ('https://[::1/', 'host'), ('https://1.2.3.4.5/', 'host'), ('https://256.256.256.256/', 'host'), ('https://example.0x1/', 'host'),
	('https://-example.com/', 'host'), ('https://example-.com/', 'host'), ('https://a..b/', 'host'), ('https://.example.com/', 'host'), ('https://exa$mple.com/', 'host'),
	('https://a,b/', 'host'), ('https://' || repeat('a', 64) || '.com/', 'host'), ('https://' || repeat('a.', 130) || 'com/', 'host'),
	('https:///path', 'host'), ('https://?x', 'host'), ('https://:443/', 'host'),
	('https://bücher.example/', 'non_ascii'), ('https://１２７.0.0.1/', 'non_ascii'), ('https://example。com/', 'non_ascii'),
	(E'https://example.com/\r\nHost: x', 'control_character'), (E'https://example.com/\n', 'control_character'), ('https://example.com/a b', 'control_character'),
	(E'\thttps://example.com/', 'control_character'), (E'https://exam\x7fple.com/', 'control_character'),
	-- schemes and ports
	('http://example.com/', 'scheme'), ('file:///etc/passwd', 'scheme'), ('gopher://example.com/', 'scheme'), ('ftp://example.com/', 'scheme'), ('dict://example.com/', 'scheme'),
	('javascript:alert(1)', 'scheme'), ('example.com', 'scheme'), ('//example.com/', 'scheme'), ('https:example.com', 'scheme'), ('https:/example.com/', 'scheme'), ('https:/a://127.0.0.1/', 'scheme'), ('ws://example.com/', 'scheme'),
	('https://example.com:0/', 'port'), ('https://example.com:65536/', 'port'), ('https://example.com:99999999999/', 'port'), ('https://example.com:-1/', 'port'), ('https://example.com:x/', 'port'),
	('', 'missing'), (NULL, 'missing'), ('https://example.com/' || repeat('x', 2048), 'too_long'),
	-- what partners really have
	('https://example.com', NULL), ('https://example.com/', NULL), ('HTTPS://Example.COM/Hooks', NULL), ('https://example.com:8443/hooks?tenant=7&x=%20y', NULL),
	('https://erp.partner-1.co.uk/api/v1/orders/', NULL), ('https://xn--bcher-kva.example/', NULL), ('https://8.8.8.8/', NULL), ('https://[2606:4700:4700::1111]:443/x', NULL),
	('https://example.com./', NULL), ('https://my_tenant.example.com/', NULL), ('https://3pl.example.com/', NULL), ('https://localhost.example.com/', NULL), ('https://example.com/@me', NULL);
SELECT count(*) AS urls, count(reason) AS refused, count(*) - count(reason) AS allowed FROM url;
SELECT url, reason, distsync_internal.http_check_url(url, false, false) AS said
FROM url
WHERE distsync_internal.http_check_url(url, false, false) IS DISTINCT FROM reason
ORDER BY n;

-- what the permissions open, and what they don't
SELECT u, coalesce(distsync_internal.http_check_url(u, false, false), 'fine') AS neither, coalesce(distsync_internal.http_check_url(u, true, false), 'fine') AS http,
	coalesce(distsync_internal.http_check_url(u, false, true), 'fine') AS private, coalesce(distsync_internal.http_check_url(u, true, true), 'fine') AS both,
	coalesce(distsync_internal.http_check_url(u, NULL, NULL), 'fine') AS unknown
FROM unnest(ARRAY['http://example.com/', 'http://127.0.0.1:8080/', 'https://wms.local/', 'https://10.0.0.7/', 'http://169.254.169.254/', 'https://metadata.google.internal/', 'ftp://10.0.0.7/']) AS u;

-- header lines
SELECT n, coalesce(distsync_internal.http_check_header(l), 'fine') AS said
FROM unnest(ARRAY['X-Tenant: 7', 'Authorization: Bearer abc', E'X-A: a\r\nX-B: b', E'X-A: a\nX-B: b', E'X-A: a\rb', E' X-A: folded', E'X-A: a\r\n folded', 'X-A', 'X A: a', 'X-A:', 'Host: inside',
	'Content-Length: 5', 'transfer-encoding: chunked', 'X-Ä: a', 'X-A: ä', '', NULL, 'X-A: ' || repeat('a', 8192)]) WITH ORDINALITY AS t(l, n) ORDER BY n;

-- nobody but the owner calls them
SELECT proname, proacl FROM pg_proc WHERE pronamespace = 'distsync_internal'::regnamespace AND proname LIKE 'http\_%' AND has_function_privilege('distsync_reader', oid, 'EXECUTE');
