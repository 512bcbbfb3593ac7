/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * VXLAN (RFC 7348) written and read by the programs. On the way out the frame's own Ethernet header becomes
 * the inner one and stays as the container wrote it; the outer one is left to bpf_redirect_neigh.
 * The source port is a hash of the inner flow. DSCP and ECN are copied outwards; on receipt ECN follows
 * RFC 6040. What a program cannot do goes by the vxlan device, which speaks the same on the wire.
 */
#ifndef CARRICK_VXLAN_H
#define CARRICK_VXLAN_H

#include "drop.h"

/* Linux 6.3; the headers of Debian 12 are older. */
#define ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)

#define VXLAN_FLAGS bpf_htonl(0x08000000)
#define ECN_MASK 3
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE 3

struct vxlan {
	__be32 flags;
	__be32 vni; /* 24 bits, then 8 of zero */
};

/* What the headers behind the outer Ethernet header are written from. */
struct push {
	__u32 vni;
	__u32 hash;
	__u32 inner_mac[3]; /* the frame's Ethernet header: 12 bytes of MACs ... */
	__be16 inner_ethertype; /* ... and the type */
	__u8 tos;
};

static __always_inline void write_udp(void *at, const struct push *push, const struct host *host,
				      __u32 length)
{
	struct udphdr *udp = at;
	struct vxlan *vxlan = at + 8;
	__u32 *inner = at + 16;

	udp->source = bpf_htons(0xc000 | ((push->hash ^ push->hash >> 16) & 0x3fff));
	udp->dest = host->port;
	udp->len = bpf_htons(length > 0xffff ? 0 : length);
	udp->check = 0;
	vxlan->flags = VXLAN_FLAGS;
	vxlan->vni = bpf_htonl(push->vni << 8);
	inner[0] = push->inner_mac[0];
	inner[1] = push->inner_mac[1];
	inner[2] = push->inner_mac[2];
	*(__be16 *)(at + 28) = push->inner_ethertype;
}

/* Whether the headers are in place; a packet that was refused is as before, a broken one is not. */
enum pushed { PUSHED, PUSH_REFUSED, PUSH_BROKEN };

static __always_inline enum pushed push4(struct __sk_buff *skb, const struct push *push,
				  const struct host *host)
{
	__u32 length = skb->len - ETH_BYTES + OUTER4_BYTES;
	__be32 source = host->local.word[3], destination = host->address.word[3];
	struct iphdr *ip;
	void *data;

	if (bpf_skb_adjust_room(skb, OUTER4_BYTES, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
					BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_BYTES) |
					BPF_F_ADJ_ROOM_ENCAP_L2_ETH))
		return PUSH_REFUSED;
	data = bytes_of(skb, ETH_BYTES + OUTER4_BYTES);
	if (!data)
		return PUSH_BROKEN;
	if (length > 0xffff)
		length = 0;
	ip = data + IP_AT;
	*(__be16 *)ip = bpf_htons(0x4500 | push->tos);
	ip->tot_len = bpf_htons(length);
	*(__be32 *)&ip->id = bpf_htonl(0x4000); /* id 0, do not fragment */
	*(__be16 *)&ip->ttl = bpf_htons(64 << 8 | IPPROTO_UDP);
	ip->check = checksum((__u64)bpf_htons(0x4500 | push->tos) + bpf_htons(length) +
			     bpf_htons(0x4000) + bpf_htons(64 << 8 | IPPROTO_UDP) + source +
			     destination);
	ip->saddr = source;
	ip->daddr = destination;
	write_udp(ip + 1, push, host, length ? length - 20 : 0x10000);
	return PUSHED;
}

static __always_inline enum pushed push6(struct __sk_buff *skb, const struct push *push,
				  const struct host *host)
{
	__u32 length = skb->len - ETH_BYTES + OUTER6_BYTES - 40;
	struct ipv6hdr *ip;
	void *data;

	if (bpf_skb_adjust_room(skb, OUTER6_BYTES, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 |
					BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_BYTES) |
					BPF_F_ADJ_ROOM_ENCAP_L2_ETH))
		return PUSH_REFUSED;
	data = bytes_of(skb, ETH_BYTES + OUTER6_BYTES);
	if (!data)
		return PUSH_BROKEN;
	ip = data + IP_AT;
	*(__be32 *)ip = bpf_htonl(0x60000000 | (__u32)push->tos << 20 | (push->hash & 0xfffff));
	ip->payload_len = bpf_htons(length > 0xffff ? 0 : length);
	*(__be16 *)&ip->nexthdr = bpf_htons(IPPROTO_UDP << 8 | 64);
	address_copy6(&ip->saddr, &host->local);
	address_copy6(&ip->daddr, &host->address);
	write_udp(ip + 1, push, host, length);
	return PUSHED;
}

/* The vxlan device writes the headers instead: for packets that bpf_skb_adjust_room refuses (R30). */
static __noinline int push_by_device(struct __sk_buff *skb, struct push *push, struct host *host)
{
	struct config *facts = get_config();
	struct bpf_tunnel_key key = {};
	__u64 flags = BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT;

	if (!facts || !facts->vxlan_ifindex)
		return drop(skb, push->vni, skb->ifindex, IP_AT, DROP_NO_CARRIER);
	key.tunnel_id = push->vni;
	key.tunnel_tos = push->tos;
	key.tunnel_ttl = 64;
	if (host->flags & HOST_IPV6) {
		flags |= BPF_F_TUNINFO_IPV6;
		__builtin_memcpy(key.remote_ipv6, &host->address, 16);
	} else {
		key.remote_ipv4 = bpf_ntohl(host->address.word[3]);
	}
	if (bpf_skb_set_tunnel_key(skb, &key, offsetof(struct bpf_tunnel_key, local_ipv4), flags))
		return drop(skb, push->vni, skb->ifindex, IP_AT, DROP_FAILED);
	count(skb, PATH_DEVICE_OUT);
	return bpf_redirect(facts->vxlan_ifindex, 0);
}

static __always_inline int redirect_to_next_hop(const struct host *host)
{
	struct bpf_redir_neigh next = {};

	if (host->flags & HOST_NEXT_HOP_IPV6) {
		next.nh_family = 10; /* AF_INET6 */
		__builtin_memcpy(next.ipv6_nh, &host->next_hop, 16);
	} else {
		next.nh_family = 2; /* AF_INET */
		next.ipv4_nh = host->next_hop.word[3];
	}
	return bpf_redirect_neigh(host->ifindex, &next, sizeof(next), 0);
}

/*
 * A number that all packets of a flow share: the socket's own where the kernel knows it, else of addresses and
 * ports. Cheaper than bpf_get_hash_recalc, and equal for all fragments of a datagram.
 */
static __always_inline __u32 flow_hash(struct __sk_buff *skb, void *frame, bool ipv4)
{
	__u32 hash = skb->hash, at = IP_AT;
	const __u32 *word;
	__u8 protocol;

	if (hash)
		return hash;
	if (ipv4) {
		struct iphdr *ip = frame + IP_AT;

		hash = ip->saddr * 0x9e3779b1 ^ ip->daddr;
		protocol = *(__u8 *)ip == 0x45 && !(ip->frag_off & bpf_htons(0x3fff)) ? ip->protocol : 0;
		at += sizeof(*ip);
	} else {
		struct ipv6hdr *ip = frame + IP_AT;

		word = (const void *)&ip->saddr;
		hash = ((word[0] ^ word[1]) * 0x9e3779b1 ^ word[2] ^ word[3]) * 0x9e3779b1 ^
		       word[4] ^ word[5] ^ word[6] ^ word[7];
		protocol = ip->nexthdr;
		at += sizeof(*ip);
	}
	word = frame + at;
	if ((protocol == IPPROTO_UDP || protocol == IPPROTO_TCP) &&
	    (void *)(word + 1) <= CONTEXT_POINTER(skb, data_end))
		hash = hash * 0x9e3779b1 ^ *word;
	hash *= 0x85ebca6b;
	return hash ^ hash >> 15;
}

/* Sends a frame whose Ethernet header is at `frame`, in linear memory, to another host. */
static __always_inline int send_by_vxlan(struct __sk_buff *skb, void *frame, bool ipv4, __u32 vni,
					 __u8 tos, struct host *host)
{
	struct push push = { .vni = vni, .tos = tos };
	enum pushed pushed;

	push.inner_mac[0] = *(__u32 *)frame;
	push.inner_mac[1] = *(__u32 *)(frame + 4);
	push.inner_mac[2] = *(__u32 *)(frame + 8);
	push.inner_ethertype = *(__be16 *)(frame + 12);
	push.hash = flow_hash(skb, frame, ipv4);
	pushed = host->flags & HOST_IPV6 ? push6(skb, &push, host) : push4(skb, &push, host);
	if (pushed == PUSH_REFUSED)
		return push_by_device(skb, &push, host);
	if (pushed == PUSH_BROKEN)
		return drop(skb, vni, skb->ifindex, IP_AT, DROP_FAILED);
	count(skb, PATH_VXLAN_OUT);
	return redirect_to_next_hop(host);
}

/* The inner ECN bits after decapsulation, or -1 for a packet that must be dropped. RFC 6040 §4.2 */
static __always_inline int combine_ecn(__u8 outer, __u8 inner)
{
	if (outer == ECN_CE)
		return inner ? ECN_CE : -1;
	return outer == ECN_ECT1 && inner == ECN_ECT0 ? ECN_ECT1 : inner;
}

/* Gives the inner header the ECN bits that the journey left it; false when the packet must be dropped. */
static __always_inline bool unwrap_ecn(void *ip, bool ipv4, __u8 outer)
{
	__be16 *first = ip;
	__u16 word = bpf_ntohs(*first);
	__u8 shift = ipv4 ? 0 : 4;
	int ecn = combine_ecn(outer & ECN_MASK, (word >> shift) & ECN_MASK);
	__be16 changed;

	if (ecn < 0)
		return false;
	changed = bpf_htons((word & ~(ECN_MASK << shift)) | ecn << shift);
	if (ipv4)
		((struct iphdr *)ip)->check =
			checksum_adjust(((struct iphdr *)ip)->check, *first, changed);
	*first = changed;
	return true;
}

/* Removes the outer headers behind the frame's Ethernet header; false when the kernel refuses. */
static __always_inline bool strip(struct __sk_buff *skb, bool outer4, bool inner4)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

	if (outer4 != inner4)
		flags |= inner4 ? ADJ_ROOM_DECAP_L3_IPV4 : ADJ_ROOM_DECAP_L3_IPV6;
	return !bpf_skb_adjust_room(skb, outer4 ? -OUTER4_BYTES : -OUTER6_BYTES, BPF_ADJ_ROOM_MAC, flags);
}

#endif
