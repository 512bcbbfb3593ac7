/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of both families as 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. */
#ifndef CARRICK_ADDRESS_H
#define CARRICK_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define IPV4_MAPPED bpf_htonl(0x0000ffff)

struct address {
	__be32 word[4];
};

static __always_inline bool address_equal(const struct address *a, const struct address *b)
{
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
}

static __always_inline bool address_zero(const struct address *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

static __always_inline void address_map4(struct address *to, __be32 ipv4)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = IPV4_MAPPED;
	to->word[3] = ipv4;
}

static __always_inline bool address_is4(const struct address *a)
{
	return !(a->word[0] | a->word[1]) && a->word[2] == IPV4_MAPPED;
}

static __always_inline void address_copy6(void *to, const void *from)
{
	struct address *address = to;
	const struct address *source = from;

	address->word[0] = source->word[0];
	address->word[1] = source->word[1];
	address->word[2] = source->word[2];
	address->word[3] = source->word[3];
}

static __always_inline bool address_link_local(const struct address *a)
{
	return (a->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline bool ipv4_link_local(__be32 ipv4)
{
	return (ipv4 & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
}

static __always_inline bool address_link_local4(const struct address *a)
{
	return address_is4(a) && ipv4_link_local(a->word[3]);
}

/* True for groups, broadcasts, and what stays on its link: none of it is carried. */
static __always_inline bool address_on_link(const struct address *a, bool ipv4)
{
	if (ipv4)
		return (a->word[3] & bpf_htonl(0xe0000000)) == bpf_htonl(0xe0000000);
	return address_link_local(a) || (a->word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline bool address_loopback(const struct address *a, bool ipv4)
{
	if (ipv4)
		return (a->word[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !(a->word[0] | a->word[1] | a->word[2]) && a->word[3] == bpf_htonl(1);
}

#endif
