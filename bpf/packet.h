/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet's bytes: reaching them, comparing and copying what stands in them. Direct access comes first; the
 * helper that makes more bytes linear is called only when they are not (pulling always is slow, and harmful
 * to packets that carry a list of fragments).
 */
#ifndef CARRICK_PACKET_H
#define CARRICK_PACKET_H

#include <stddef.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include "maps.h"

#define ETH_BYTES 14
#define PACKET_HOST 0
#define PACKET_OTHERHOST 3
#define ICMPV6 58

/* Offsets of the IP header without and behind the outer headers of VXLAN. */
#define IP_AT ETH_BYTES
#define OUTER4_BYTES 50 /* IPv4 20, UDP 8, VXLAN 8, Ethernet 14 */
#define OUTER6_BYTES 70

/*
 * A pointer out of the packet's context. The fields are 32 bits wide in C and pointers to the verifier; left to
 * itself, the compiler keeps one in a 32-bit register, where the verifier no longer knows it.
 */
#define CONTEXT_POINTER(skb, field)                                                                \
	({                                                                                         \
		void *pointer;                                                                     \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                              \
			     : "=r"(pointer)                                                       \
			     : "r"(skb), "i"(offsetof(struct __sk_buff, field)));                  \
		pointer;                                                                           \
	})

/* The first `length` bytes of the packet, or NULL when it is shorter. Ends all earlier packet pointers. */
static __always_inline void *bytes_of(struct __sk_buff *skb, __u32 length)
{
	void *data = CONTEXT_POINTER(skb, data);

	if (data + length <= CONTEXT_POINTER(skb, data_end))
		return data;
	if (bpf_skb_pull_data(skb, length))
		return NULL;
	data = CONTEXT_POINTER(skb, data);
	return data + length <= CONTEXT_POINTER(skb, data_end) ? data : NULL;
}

static __always_inline bool mac_equal(const void *a, const void *b)
{
	return *(__u32 *)a == *(__u32 *)b && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline void mac_copy(void *to, const void *from)
{
	*(__u16 *)to = *(__u16 *)from;
	*(__u16 *)(to + 2) = *(__u16 *)(from + 2);
	*(__u16 *)(to + 4) = *(__u16 *)(from + 4);
}

/* Destination and source of a frame, as a delivered one has them. */
static __always_inline void macs_write(void *frame, const void *destination, const void *source)
{
	mac_copy(frame, destination);
	mac_copy(frame + 6, source);
}

static __always_inline bool in_prefix(const struct prefix *p, const struct address *a)
{
	return (a->word[3] & p->mask.word[3]) == p->address.word[3] &&
	       (a->word[2] & p->mask.word[2]) == p->address.word[2] &&
	       (a->word[1] & p->mask.word[1]) == p->address.word[1] &&
	       (a->word[0] & p->mask.word[0]) == p->address.word[0];
}

static __noinline bool in_prefixes(struct network *network, struct address *a)
{
	for (__u32 i = 0; i < MAX_PREFIXES && i < network->prefix_count; i++) {
		if (in_prefix(&network->prefixes[i], a))
			return true;
	}
	return false;
}

/* One's complement sum of 32 bits, folded into the 16 of a checksum field. */
static __always_inline __u16 checksum(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Checksum after one 16-bit word changed. RFC 1624 */
static __always_inline __u16 checksum_adjust(__u16 old_sum, __u16 old_word, __u16 new_word)
{
	return checksum((__u64)(__u16)~old_sum + (__u16)~old_word + new_word);
}

/* True when header and lengths of IPv4 agree; `length` counts from the header to the packet's end. */
static __always_inline bool valid4(struct __sk_buff *skb, const struct iphdr *ip, __u32 length)
{
	__u8 first = *(const __u8 *)ip;
	__u32 header = (first & 0x0f) * 4, total = bpf_ntohs(ip->tot_len);

	if ((first >> 4) != 4 || header < sizeof(*ip) || header > length)
		return false;
	return (total >= header && total <= length) || (!total && skb->gso_size);
}

/* The same for IPv6. A length of zero belongs to super-packets of more than 64 KiB. */
static __always_inline bool valid6(struct __sk_buff *skb, const struct ipv6hdr *ip, __u32 length)
{
	__u32 payload = bpf_ntohs(ip->payload_len);

	return (*(const __u8 *)ip >> 4) == 6 && (payload + sizeof(*ip) <= length || skb->gso_size);
}

/* Reads the addresses of the IP header at `at` of linear memory; false when it is malformed. */
static __always_inline bool read_addresses(struct __sk_buff *skb, void *at, __u32 offset, bool ipv4,
					   struct address *source, struct address *destination)
{
	if (ipv4) {
		struct iphdr *ip = at;

		address_map4(source, ip->saddr);
		address_map4(destination, ip->daddr);
		return valid4(skb, ip, skb->len - offset);
	} else {
		struct ipv6hdr *ip = at;

		address_copy6(source, &ip->saddr);
		address_copy6(destination, &ip->daddr);
		return valid6(skb, ip, skb->len - offset);
	}
}

/* Traffic class of IPv6: four bits of the first byte, four of the second. */
static __always_inline __u8 class6(const struct ipv6hdr *ip)
{
	return bpf_ntohs(*(const __be16 *)ip) >> 4;
}

static __always_inline void count(struct __sk_buff *skb, enum traffic_path path)
{
	struct counter *counter = bpf_map_lookup_elem(&traffic, &path);

	if (counter) {
		counter->packets++;
		counter->bytes += skb->len;
	}
}

#endif
