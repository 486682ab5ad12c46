/*-------------------------------------------------------------------------
 *
 * guard.c
 *		The address guard: which addresses a partner can't have.
 *
 * A partner's URL is input from somebody outside, and a server that connects
 * wherever it is told hands its inner network to him. Names prove nothing (the
 * same name answers with another address a second later), so the driver asks
 * here with the address it is about to connect to, and again before it sends
 * over a connection it kept.
 *
 * Process: worker (driver), any backend (SQL checks). Locks: none. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "http/guard.h"

/* One block of addresses. The first block that holds the address decides. */
typedef struct DsHttpBlock
{
	const char *base;
	int bits;
	const char *reason; /* NULL: a public address */
	bool with_private;	/* open where allow_private is set */
} DsHttpBlock;

/*
 * IANA's special-purpose registries, and the addresses at which clouds hand out credentials. Those come first, because
 * allow_private must not open them.
 */
static const DsHttpBlock blocks_v4[] = {
	{"169.254.169.254", 32, "metadata", false}, /* AWS, Azure, GCP, OpenStack */
	{"169.254.170.2", 32, "metadata", false},	/* AWS containers */
	{"169.254.170.23", 32, "metadata", false},	/* AWS pods */
	{"100.100.100.200", 32, "metadata", false}, /* Alibaba, inside the carriers' block */
	{"168.63.129.16", 32, "metadata", false},	/* Azure, a public address */
	{"192.0.0.192", 32, "metadata", false},		/* Oracle */
	{"0.0.0.0", 8, "this_network", false},		/* Linux connects 0.0.0.0 to itself */
	{"10.0.0.0", 8, "private", true},
	{"100.64.0.0", 10, "carrier_nat", true},
	{"127.0.0.0", 8, "loopback", true},
	{"169.254.0.0", 16, "link_local", false},
	{"172.16.0.0", 12, "private", true},
	{"192.0.0.0", 24, "protocol_assignment", false},
	{"192.0.2.0", 24, "documentation", false},
	{"192.31.196.0", 24, "anycast_sink", false}, /* AS112 */
	{"192.52.193.0", 24, "multicast_tunnel", false},
	{"192.88.99.0", 24, "6to4", false},
	{"192.168.0.0", 16, "private", true},
	{"192.175.48.0", 24, "anycast_sink", false}, /* AS112 */
	{"198.18.0.0", 15, "benchmarking", false},
	{"198.51.100.0", 24, "documentation", false},
	{"203.0.113.0", 24, "documentation", false},
	{"224.0.0.0", 4, "multicast", false},
	{"255.255.255.255", 32, "broadcast", false},
	{"240.0.0.0", 4, "reserved", false},
	{"0.0.0.0", 0, NULL, false},
};

/* ::ffff:0:0/96 is not here: such an address is the IPv4 address inside and judged as that. */
static const DsHttpBlock blocks_v6[] = {
	{"fd00:ec2::254", 128, "metadata", false}, /* AWS */
	{"fd00:ec2::23", 128, "metadata", false},  /* AWS pods */
	{"fd20:ce::254", 128, "metadata", false},  /* GCP */
	{"::", 128, "unspecified", false},
	{"::1", 128, "loopback", true},
	{"::", 96, "v4_compatible", false},
	{"::ffff:0:0:0", 96, "v4_translated", false},
	{"64:ff9b::", 96, "nat64", false},
	{"64:ff9b:1::", 48, "nat64", false},
	{"100::", 64, "discard", false},
	{"100:0:0:1::", 64, "discard", false},
	{"2001::", 32, "teredo", false},
	{"2001:2::", 48, "benchmarking", false},
	{"2001:10::", 28, "orchid", false},
	{"2001:20::", 28, "orchid", false},
	{"2001:db8::", 32, "documentation", false},
	{"2001::", 23, "protocol_assignment", false},
	{"2002::", 16, "6to4", false},
	{"2620:4f:8000::", 48, "anycast_sink", false}, /* AS112 */
	{"3fff::", 20, "documentation", false},
	{"5f00::", 16, "segment_routing", false},
	{"fc00::", 7, "private", true},
	{"fe80::", 10, "link_local", false},
	{"fec0::", 10, "site_local", false},
	{"ff00::", 8, "multicast", false},
	{"2000::", 3, NULL, false}, /* all that is given out to the public so far */
	{"::", 0, "reserved", false},
};

/* in_block tells whether the first `bits` bits of two addresses are the same. */
static bool
in_block(const unsigned char *address, const unsigned char *base, int bits)
{
	int whole = bits / 8;
	int rest = bits % 8;

	if (memcmp(address, base, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ base[whole]) >> (8 - rest)) == 0;
}

/*
 * judge finds the block that holds an address. The tables are text, because text can be read and reviewed against the
 * registries; parsing some thirty literals costs microseconds at a moment that costs a connection.
 */
static const char *
judge(int family, const unsigned char *address, bool allow_private)
{
	bool v4 = family == AF_INET;
	const DsHttpBlock *block = v4 ? blocks_v4 : blocks_v6;
	size_t count =
		v4 ? sizeof(blocks_v4) / sizeof(*blocks_v4) : sizeof(blocks_v6) / sizeof(*blocks_v6);

	for (size_t i = 0; i < count; i++, block++)
	{
		unsigned char base[sizeof(struct in6_addr)];

		if (inet_pton(family, block->base, base) != 1)
			return "bad_guard_table";
		if (in_block(address, base, block->bits))
			return allow_private && block->with_private ? NULL : block->reason;
	}
	return "reserved";
}

/* judge_v6 unwraps ::ffff:a.b.c.d first: the kernel connects it to a.b.c.d. */
static const char *
judge_v6(const unsigned char *address, bool allow_private)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return judge(AF_INET, address + sizeof(mapped), allow_private);
	return judge(AF_INET6, address, allow_private);
}

/*
 * ds_http_address_refused judges the address a socket is about to be connected to. It is the guard itself: whatever way a
 * name or a spelling took, it ends in this structure.
 */
const char *
ds_http_address_refused(const struct sockaddr *address, bool allow_private)
{
	switch (address->sa_family)
	{
		case AF_INET:
			return judge(
				AF_INET,
				(const unsigned char *) &((const struct sockaddr_in *) (const void *) address)
					->sin_addr,
				allow_private);
		case AF_INET6:
			return judge_v6(
				(const unsigned char *) &((const struct sockaddr_in6 *) (const void *) address)
					->sin6_addr,
				allow_private);
		default:
			return "address_family";
	}
}

/*
 * ds_http_literal_refused judges an address written as text, in every spelling the C library would connect: 127.1,
 * 0x7f000001, 0177.0.0.1 and 2130706433 are all 127.0.0.1. Brackets and a zone are taken off. Text that is no address is
 * refused as "not_an_address": the caller decides whether it may be a name.
 */
const char *
ds_http_literal_refused(const char *literal, bool allow_private)
{
	char text[INET6_ADDRSTRLEN + 32];
	unsigned char v6[sizeof(struct in6_addr)];
	struct in_addr v4;
	size_t len = strlen(literal);

	if (len > 2 && literal[0] == '[' && literal[len - 1] == ']')
	{
		literal++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(text))
		return "not_an_address";
	memcpy(text, literal, len);
	text[len] = '\0';
	if (strchr(text, ':') != NULL)
	{
		char *zone = strchr(text, '%');

		if (zone != NULL)
			*zone = '\0';
		return inet_pton(AF_INET6, text, v6) == 1 ? judge_v6(v6, allow_private) : "not_an_address";
	}
	/* inet_aton stops at white space and believes what stands before it */
	if (strpbrk(text, " \t\n\v\f\r") != NULL || inet_aton(text, &v4) == 0)
		return "not_an_address";
	return judge(AF_INET, (const unsigned char *) &v4, allow_private);
}
