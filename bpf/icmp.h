/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Errors told to a container, or to the host, that sends what cannot arrive: the packet is cut to its first bytes, an IP and
 * an ICMP header are put before them, and it goes back where it came from (R28, R29). RFC 792, RFC 4443.
 */
#ifndef CARRICK_ICMP_H
#define CARRICK_ICMP_H

#include "drop.h"

/* Quoted bytes of the packet: IPv4 with all options, and more of the transport header than the 20 bytes that
 * bpf_skb_change_tail leaves alone when its checksum is still to be computed. */
#define QUOTE_BYTES 128

#define ERROR4_BYTES 28
#define ERROR6_BYTES 48

struct error {
	struct address source; /* who says so: the gateway, or the absent address */
	__u32 vni;
	__u32 ifindex;
	__u32 reason;
	__u32 mtu; /* largest packet that would pass; 0 when size is not the trouble */
	__u32 mark; /* of an error to the host's own stack; 0 sends it out of the device */
	__u8 type4, code4, type6, code6;
};

struct error_headers4 {
	__u8 macs[12];
	__be16 ethertype;
	struct iphdr ip;
	__u8 type, code;
	__u16 check;
	__be32 mtu;
} __attribute__((packed));

struct error_headers6 {
	__u8 macs[12];
	__be16 ethertype;
	struct ipv6hdr ip;
	__u8 type, code;
	__u16 check;
	__be32 mtu;
} __attribute__((packed));

/* True when an error may be sent about this packet: not about errors, nor about later fragments. */
static __always_inline bool may_answer(struct __sk_buff *skb, __u32 ifindex)
{
	struct allowance *allowance;
	__u8 protocol, type = 0;
	__be16 fragment;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__u8 first;

		if (bpf_skb_load_bytes(skb, IP_AT, &first, 1) ||
		    bpf_skb_load_bytes(skb, IP_AT + 6, &fragment, 2) ||
		    bpf_skb_load_bytes(skb, IP_AT + 9, &protocol, 1) ||
		    (fragment & bpf_htons(0x1fff)))
			return false;
		if (protocol == IPPROTO_ICMP) {
			if (bpf_skb_load_bytes(skb, IP_AT + (first & 0x0f) * 4, &type, 1))
				return false;
			if (type != 0 && type != 8 && type < 13)
				return false;
		}
	} else {
		if (bpf_skb_load_bytes(skb, IP_AT + 6, &protocol, 1))
			return false;
		if (protocol == ICMPV6 &&
		    (bpf_skb_load_bytes(skb, IP_AT + 40, &type, 1) || type < 128))
			return false;
	}
	allowance = allowance_of(ifindex);
	return allowance &&
	       allowed(&allowance->answer_ns, bpf_ktime_get_ns(), ANSWER_EVERY_NS, ANSWER_BURST_NS);
}

/* Cuts the packet to what an error quotes; the length of that, or 0. */
static __always_inline __u32 cut_to_quote(struct __sk_buff *skb)
{
	__u32 length = skb->len - ETH_BYTES;

	if (length > QUOTE_BYTES)
		length = QUOTE_BYTES;
	/* Cutting also turns a super-packet into a plain one. */
	if ((skb->len > ETH_BYTES + QUOTE_BYTES || skb->gso_size) &&
	    bpf_skb_change_tail(skb, ETH_BYTES + length, 0))
		return 0;
	return length;
}

/* The unfolded checksum of `length` bytes behind the Ethernet header, taken in pieces that fit the stack. */
static __always_inline __s64 quote_sum(struct __sk_buff *skb, __u32 length, __s64 sum)
{
	__be32 piece[8];

#pragma unroll
	for (int i = 0; i < QUOTE_BYTES / 32; i++) {
		__u32 rest = length - i * 32;

		if (length <= i * 32)
			break;
		if (rest > sizeof(piece))
			rest = sizeof(piece);
		__builtin_memset(piece, 0, sizeof(piece));
		if (bpf_skb_load_bytes(skb, IP_AT + i * 32, piece, rest))
			break;
		sum = bpf_csum_diff(NULL, 0, piece, sizeof(piece), sum);
	}
	return sum;
}

static __always_inline bool answer4(struct __sk_buff *skb, const struct error *error, __u32 length)
{
	struct config *facts = get_config();
	struct error_headers4 h = {};
	__s64 sum = quote_sum(skb, length, 0);

	if (!facts || bpf_skb_load_bytes(skb, 6, h.macs, 6) ||
	    bpf_skb_load_bytes(skb, IP_AT + 12, &h.ip.daddr, 4) ||
	    bpf_skb_adjust_room(skb, ERROR4_BYTES, BPF_ADJ_ROOM_MAC, 0))
		return false;
	__builtin_memcpy(h.macs + 6, facts->fabric_mac, 6);
	h.ethertype = bpf_htons(ETH_P_IP);
	*(__u8 *)&h.ip = 0x45;
	h.ip.tos = 0xc0; /* internetwork control, as the kernel marks its errors */
	h.ip.tot_len = bpf_htons(length + ERROR4_BYTES);
	h.ip.ttl = 64;
	h.ip.protocol = IPPROTO_ICMP;
	h.ip.saddr = error->source.word[3];
	h.ip.check = checksum(bpf_csum_diff(NULL, 0, (__be32 *)((void *)&h + 14), 20, 0));
	h.type = error->type4;
	h.code = error->code4;
	h.mtu = bpf_htonl(error->mtu);
	h.check = checksum(bpf_csum_diff(NULL, 0, (__be32 *)((void *)&h + 34), 8, sum));
	return !bpf_skb_store_bytes(skb, 0, &h, sizeof(h), 0);
}

static __always_inline bool answer6(struct __sk_buff *skb, const struct error *error, __u32 length)
{
	struct config *facts = get_config();
	struct error_headers6 h = {};
	__s64 sum = quote_sum(skb, length, 0);

	if (!facts || bpf_skb_load_bytes(skb, 6, h.macs, 6) ||
	    bpf_skb_load_bytes(skb, IP_AT + 8, &h.ip.daddr, 16) ||
	    bpf_skb_adjust_room(skb, ERROR6_BYTES, BPF_ADJ_ROOM_MAC, 0))
		return false;
	__builtin_memcpy(h.macs + 6, facts->fabric_mac, 6);
	h.ethertype = bpf_htons(ETH_P_IPV6);
	*(__u8 *)&h.ip = 0x60;
	h.ip.payload_len = bpf_htons(length + 8);
	h.ip.nexthdr = ICMPV6;
	h.ip.hop_limit = 64;
	__builtin_memcpy(&h.ip.saddr, &error->source, 16);
	h.type = error->type6;
	h.code = error->code6;
	h.mtu = bpf_htonl(error->mtu);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)((void *)&h + 22), 40, sum); /* addresses, ICMP header */
	h.check = checksum(sum + h.ip.payload_len + bpf_htons(ICMPV6));
	return !bpf_skb_store_bytes(skb, 0, &h, sizeof(h), 0);
}

/* Drops the packet, and tells its sender why where that is allowed. */
static __noinline int drop_with_error(struct __sk_buff *skb, struct error *error)
{
	int verdict = drop(skb, error->vni, error->ifindex, IP_AT, error->reason);
	__u32 length;

	if (!may_answer(skb, error->ifindex))
		return verdict;
	length = cut_to_quote(skb);
	if (!length)
		return verdict;
	if (skb->protocol == bpf_htons(ETH_P_IP) ? !answer4(skb, error, length)
						  : !answer6(skb, error, length))
		return verdict;
	count(skb, PATH_ANSWERED);
	if (!error->mark)
		return bpf_redirect(error->ifindex, 0);
	skb->mark = error->mark;
	return bpf_redirect(error->ifindex, BPF_F_INGRESS);
}

/* The same for a packet that the host's stack sent into a gateway device. */
static __noinline int drop_with_error_to_host(struct __sk_buff *skb, struct error *error)
{
	struct network *network = bpf_map_lookup_elem(&networks, &error->vni);
	struct config *facts = get_config();
	void *frame = bytes_of(skb, ETH_BYTES);

	if (!network || !facts || !facts->mark_unchecked || !frame)
		return drop(skb, error->vni, error->ifindex, IP_AT, error->reason);
	/* Whom the answer goes to: the gateway device has the fabric's MAC. */
	mac_copy(frame + 6, facts->fabric_mac);
	error->mark = facts->mark_unchecked | network->mark;
	return drop_with_error(skb, error);
}

#endif
