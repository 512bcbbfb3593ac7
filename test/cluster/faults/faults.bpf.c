// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Links with faults, for tests: each program sits where a host's packets enter the switch and drops, without a
 * word, what such a link would not carry. SMALL_BYTES is the size of the one that takes only small packets.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VXLAN_PORT 4789
#define VXLAN_BYTES 8
#define CHUNK 64
#define MOST_CHUNKS 40
#ifndef SMALL_BYTES
#define SMALL_BYTES 1400
#endif

/* An IP packet, by where its parts lie in the frame. */
struct packet {
	__u32 ip_at, l4_at, l4_bytes;
	__u8 protocol;
	__u8 ipv4, fragment;
};

static __always_inline int read_ip(struct __sk_buff *skb, __u32 at, __be16 ethertype,
				   struct packet *packet)
{
	packet->ip_at = at;
	packet->fragment = 0;
	if (ethertype == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
			return -1;
		packet->ipv4 = 1;
		packet->protocol = ip.protocol;
		packet->fragment = (ip.frag_off & bpf_htons(0x3fff)) != 0;
		packet->l4_at = at + ip.ihl * 4;
		packet->l4_bytes = bpf_ntohs(ip.tot_len) - ip.ihl * 4;
		return 0;
	}
	if (ethertype == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
			return -1;
		packet->ipv4 = 0;
		packet->protocol = ip.nexthdr;
		packet->fragment = ip.nexthdr == IPPROTO_FRAGMENT;
		packet->l4_at = at + sizeof(ip);
		packet->l4_bytes = bpf_ntohs(ip.payload_len);
		return 0;
	}
	return -1;
}

static __always_inline int read_outer(struct __sk_buff *skb, struct packet *outer)
{
	return read_ip(skb, ETH_HLEN, skb->protocol, outer);
}

/* What is inside a VXLAN packet. */
static __always_inline int read_inner(struct __sk_buff *skb, const struct packet *outer,
				      struct packet *inner)
{
	struct udphdr udp;
	__be16 ethertype;
	__u32 at;

	if (outer->protocol != IPPROTO_UDP || outer->fragment)
		return -1;
	if (bpf_skb_load_bytes(skb, outer->l4_at, &udp, sizeof(udp)))
		return -1;
	if (udp.dest != bpf_htons(VXLAN_PORT))
		return -1;
	at = outer->l4_at + sizeof(udp) + VXLAN_BYTES;
	if (bpf_skb_load_bytes(skb, at + 12, &ethertype, sizeof(ethertype)))
		return -1;
	return read_ip(skb, at + ETH_HLEN, ethertype, inner);
}

/* Takes what is not larger than SMALL_BYTES; of a super-packet its segments count. */
SEC("tc")
int small_path(struct __sk_buff *skb)
{
	struct packet outer, inner, *last = &outer;
	__u32 bytes = skb->len - ETH_HLEN;
	struct tcphdr tcp;

	if (skb->gso_size) {
		if (read_outer(skb, &outer))
			return TC_ACT_OK;
		if (!read_inner(skb, &outer, &inner))
			last = &inner;
		bytes = last->l4_at - ETH_HLEN + skb->gso_size;
		if (last->protocol == IPPROTO_TCP) {
			if (bpf_skb_load_bytes(skb, last->l4_at, &tcp, sizeof(tcp)))
				return TC_ACT_OK;
			bytes += tcp.doff * 4;
		} else {
			bytes += sizeof(struct udphdr);
		}
	}
	return bytes > SMALL_BYTES ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int drop_fragments(struct __sk_buff *skb)
{
	struct packet outer;

	return !read_outer(skb, &outer) && outer.fragment ? TC_ACT_SHOT : TC_ACT_OK;
}

/* The sum of the upper layer and its pseudo header; 0xffff when the checksum inside is right. */
static __always_inline int sum_of(struct __sk_buff *skb, const struct packet *packet)
{
	__be32 tail[2] = { bpf_htonl(packet->l4_bytes), bpf_htonl(packet->protocol) };
	__u32 left = packet->l4_bytes, at = packet->l4_at;
	__u8 chunk[CHUNK];
	__s64 sum;
	int i;

	if (packet->ipv4) {
		if (bpf_skb_load_bytes(skb, packet->ip_at + 12, chunk, 8))
			return -1;
		sum = bpf_csum_diff(0, 0, (void *)chunk, 8, 0);
	} else {
		if (bpf_skb_load_bytes(skb, packet->ip_at + 8, chunk, 32))
			return -1;
		sum = bpf_csum_diff(0, 0, (void *)chunk, 32, 0);
	}
	sum = bpf_csum_diff(0, 0, tail, sizeof(tail), sum);
	for (i = 0; i < MOST_CHUNKS && left; i++) {
		__u32 bytes = left < CHUNK ? left : CHUNK;

		__builtin_memset(chunk, 0, sizeof(chunk));
		if (bytes < 1 || bytes > CHUNK || bpf_skb_load_bytes(skb, at, chunk, bytes))
			return -1;
		sum = bpf_csum_diff(0, 0, (void *)chunk, CHUNK, sum);
		at += bytes;
		left -= bytes;
	}
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	return left ? -1 : sum;
}

/*
 * A network card that should sum up what is inside VXLAN and does not: what no software has summed up arrives
 * wrong, and whoever receives it drops it.
 */
SEC("tc")
int corrupt_offloaded(struct __sk_buff *skb)
{
	struct packet outer, inner;
	__be16 check = 0;
	int sum;

	if (read_outer(skb, &outer) || read_inner(skb, &outer, &inner) || inner.fragment)
		return TC_ACT_OK;
	if (inner.protocol != IPPROTO_TCP && inner.protocol != IPPROTO_UDP)
		return TC_ACT_OK;
	/* A super-packet is cut, and summed up, by the card. */
	if (skb->gso_size)
		return TC_ACT_SHOT;
	if (inner.protocol == IPPROTO_UDP && inner.ipv4) {
		if (bpf_skb_load_bytes(skb, inner.l4_at + 6, &check, sizeof(check)) || !check)
			return TC_ACT_OK;
	}
	sum = sum_of(skb, &inner);
	return sum < 0 || sum == 0xffff ? TC_ACT_OK : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
