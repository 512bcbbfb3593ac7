/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet from another host: which network it belongs to, whether the host that sent it has the endpoint it
 * claims to come from, and where its endpoint is here: a container, or the host itself. Only packets for a veth
 * are stripped in place, and of segmented ones only TCP: the flags that stripping leaves behind would hurt all
 * others (R2, R3).
 */
#ifndef CARRICK_RECEIVE_H
#define CARRICK_RECEIVE_H

#include "gateway.h"

/* True when `outer` is the underlay address of the host that has the inner source. */
static __always_inline struct host *owner_of(__u32 vni, const struct address *source)
{
	struct endpoint_key key = { .vni = vni, .address = *source };
	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &key);
	struct host *host;

	if (!endpoint || endpoint->ifindex)
		return NULL;
	host = bpf_map_lookup_elem(&hosts, &endpoint->host);
	return host && (host->flags & HOST_VALID) ? host : NULL;
}

static __always_inline struct endpoint *endpoint_of(__u32 vni, const struct address *destination)
{
	struct endpoint_key key = { .vni = vni, .address = *destination };
	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &key);

	return endpoint && endpoint->ifindex ? endpoint : NULL;
}

/* The end of a packet for which no endpoint is here; it never goes on to another host. */
static __noinline int drop_unknown(struct __sk_buff *skb, __u32 vni, __u32 ip_at)
{
	__u32 reason = bpf_map_lookup_elem(&networks, &vni) ? DROP_NO_ENDPOINT : DROP_NO_NETWORK;

	return drop(skb, vni, skb->ifindex, ip_at, reason);
}

/* VXLAN to our port and address, plain headers, linear up to the inner Ethernet header. */
static __always_inline int receive_vxlan(struct __sk_buff *skb, struct config *facts, bool outer4)
{
	const __u32 inner_at = IP_AT + (outer4 ? OUTER4_BYTES : OUTER6_BYTES);
	void *data = bytes_of(skb, inner_at + sizeof(struct iphdr));
	struct address outer, source, destination;
	struct endpoint *endpoint;
	struct host *host;
	__be16 ethertype;
	__u8 outer_tos;
	__u32 vni;
	bool inner4;

	if (!data)
		return drop(skb, 0, skb->ifindex, inner_at, DROP_MALFORMED);
	vni = bpf_ntohl(*(__be32 *)(data + inner_at - 18)) >> 8;
	ethertype = *(__be16 *)(data + inner_at - 2);
	inner4 = ethertype == bpf_htons(ETH_P_IP);
	if (!inner4 && ethertype != bpf_htons(ETH_P_IPV6)) {
		__u32 reason = DROP_NOT_IP;

		if (ethertype == bpf_htons(ETH_P_ARP))
			reason = DROP_IGNORED;
		else if (ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD))
			reason = DROP_TAGGED;
		return drop(skb, vni, skb->ifindex, inner_at, reason);
	}
	if (!inner4) {
		data = bytes_of(skb, inner_at + sizeof(struct ipv6hdr));
		if (!data)
			return drop(skb, vni, skb->ifindex, inner_at, DROP_MALFORMED);
	}
	/* What cannot be stripped in place is left to the vxlan device, and checked behind it. */
	if (outer4 != inner4 && !(facts->flags & CONFIG_CROSS_FAMILY_STRIP))
		return TC_ACT_UNSPEC;
	if (skb->gso_size && *(__u8 *)(data + inner_at + (inner4 ? 9 : 6)) != IPPROTO_TCP)
		return TC_ACT_UNSPEC;
	if (!read_addresses(skb, data + inner_at, inner_at, inner4, &source, &destination))
		return drop(skb, vni, skb->ifindex, inner_at, DROP_MALFORMED);
	if (outer4) {
		struct iphdr *ip = data + IP_AT;

		address_map4(&outer, ip->saddr);
		outer_tos = ip->tos;
	} else {
		struct ipv6hdr *ip = data + IP_AT;

		address_copy6(&outer, &ip->saddr);
		outer_tos = class6(ip);
	}
	endpoint = endpoint_of(vni, &destination);
	if (!endpoint)
		return drop_unknown(skb, vni, inner_at);
	/* Stripped by the kernel, and checked behind its device: no stale flag enters the host's stack. */
	if (endpoint->flags & ENDPOINT_HOST)
		return TC_ACT_UNSPEC;
	host = owner_of(vni, &source);
	if (!host || !address_equal(&host->address, &outer))
		return drop(skb, vni, endpoint->ifindex, inner_at, DROP_WRONG_HOST);
	if ((outer_tos & 1) && !unwrap_ecn(data + inner_at, inner4, outer_tos))
		return drop(skb, vni, endpoint->ifindex, inner_at, DROP_CONGESTED);
	if (!strip(skb, outer4, inner4))
		return drop(skb, vni, endpoint->ifindex, inner_at, DROP_FAILED);
	data = bytes_of(skb, ETH_BYTES);
	if (!data)
		return drop(skb, vni, endpoint->ifindex, IP_AT, DROP_FAILED);
	*(__be16 *)(data + 12) = ethertype;
	count(skb, PATH_VXLAN_IN);
	return deliver(skb, data, endpoint, facts);
}

/* True for a source that no member can have, where the host's stack decides who of them may come in. */
static __noinline bool from_outside(__u32 vni, struct address *source)
{
	struct network *network = bpf_map_lookup_elem(&networks, &vni);

	return network && network->gateway_ifindex && !in_prefixes(network, source);
}

/* A bare packet; its network is the one whose prefix has the destination. `data` is linear to the header. */
static __always_inline int receive_direct(struct __sk_buff *skb, void *data, struct config *facts,
					  bool ipv4)
{
	struct direct_prefix_key key;
	struct endpoint *endpoint;
	struct address source;
	struct host *host;
	bool valid = read_addresses(skb, data + IP_AT, IP_AT, ipv4, &source, &key.address);
	__u32 *vni;

	key.bits = 128;
	vni = bpf_map_lookup_elem(&direct_prefixes, &key);
	if (!vni)
		return TC_ACT_UNSPEC;
	if (!valid)
		return drop(skb, *vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	endpoint = endpoint_of(*vni, &key.address);
	if (!endpoint)
		return drop_unknown(skb, *vni, IP_AT);
	host = owner_of(*vni, &source);
	if (!host && from_outside(*vni, &source))
		return TC_ACT_UNSPEC;
	/* Behind a router all hosts have its MAC; on a link each has its own (R31). */
	if (!host || ((host->flags & HOST_ON_LINK) && (host->flags & HOST_NEXT_HOP_MAC) &&
		      !mac_equal(data + 6, host->mac)))
		return drop(skb, *vni, endpoint->ifindex, IP_AT, DROP_WRONG_HOST);
	count(skb, PATH_DIRECT_IN);
	if (endpoint->flags & ENDPOINT_HOST)
		return to_host(skb, *vni);
	return deliver(skb, data, endpoint, facts);
}

static __always_inline int receive4(struct __sk_buff *skb, struct config *facts)
{
	void *data = bytes_of(skb, IP_AT + sizeof(struct iphdr));
	struct iphdr *ip;

	if (!data)
		return TC_ACT_UNSPEC;
	ip = data + IP_AT;
	if (ip->protocol == IPPROTO_UDP && ip->daddr == facts->local4.word[3] && *(__u8 *)ip == 0x45 &&
	    !(ip->frag_off & bpf_htons(0x3fff))) {
		struct udphdr *udp;

		data = bytes_of(skb, IP_AT + sizeof(*ip) + 16);
		if (!data)
			return TC_ACT_UNSPEC;
		udp = data + IP_AT + sizeof(*ip);
		/* The kernel checks checksums; our peers send none, as RFC 7348 §5 recommends. */
		if (udp->dest == facts->vxlan_port)
			return udp->check || *(__be32 *)(udp + 1) != VXLAN_FLAGS
				       ? TC_ACT_UNSPEC
				       : receive_vxlan(skb, facts, true);
	}
	return facts->flags & CONFIG_DIRECT ? receive_direct(skb, data, facts, true) : TC_ACT_UNSPEC;
}

static __always_inline int receive6(struct __sk_buff *skb, struct config *facts)
{
	void *data = bytes_of(skb, IP_AT + sizeof(struct ipv6hdr));
	struct ipv6hdr *ip;

	if (!data)
		return TC_ACT_UNSPEC;
	ip = data + IP_AT;
	if (ip->nexthdr == IPPROTO_UDP && address_equal((void *)&ip->daddr, &facts->local6)) {
		struct udphdr *udp;

		data = bytes_of(skb, IP_AT + sizeof(*ip) + 16);
		if (!data)
			return TC_ACT_UNSPEC;
		udp = data + IP_AT + sizeof(*ip);
		if (udp->dest == facts->vxlan_port)
			return udp->check || *(__be32 *)(udp + 1) != VXLAN_FLAGS
				       ? TC_ACT_UNSPEC
				       : receive_vxlan(skb, facts, false);
	}
	return facts->flags & CONFIG_DIRECT ? receive_direct(skb, data, facts, false) : TC_ACT_UNSPEC;
}

/* The outer source that the vxlan device found, as an address; false when it tells none. */
static __always_inline bool tunnel_source(struct __sk_buff *skb, struct bpf_tunnel_key *key,
					  struct address *outer)
{
	const __u32 size = offsetof(struct bpf_tunnel_key, local_ipv4);

	if (!bpf_skb_get_tunnel_key(skb, key, size, 0)) {
		address_map4(outer, bpf_htonl(key->remote_ipv4));
		return true;
	}
	if (bpf_skb_get_tunnel_key(skb, key, size, BPF_F_TUNINFO_IPV6))
		return false;
	__builtin_memcpy(outer, key->remote_ipv6, 16);
	return true;
}

/* A frame from which the kernel has taken the outer headers. Nothing goes on into the host's stack by itself. */
static __always_inline int receive_from_device(struct __sk_buff *skb, struct config *facts)
{
	bool ipv4 = skb->protocol == bpf_htons(ETH_P_IP);
	struct address outer, source, destination;
	struct bpf_tunnel_key key = {};
	struct endpoint *endpoint;
	struct host *host;
	void *data;

	if (!tunnel_source(skb, &key, &outer))
		return drop(skb, 0, skb->ifindex, IP_AT, DROP_NO_NETWORK);
	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) ||
	    skb->protocol == bpf_htons(ETH_P_8021AD))
		return drop(skb, key.tunnel_id, skb->ifindex, IP_AT, DROP_TAGGED);
	if (!ipv4 && skb->protocol != bpf_htons(ETH_P_IPV6))
		return drop(skb, key.tunnel_id, skb->ifindex, IP_AT,
			    skb->protocol == bpf_htons(ETH_P_ARP) ? DROP_IGNORED : DROP_NOT_IP);
	data = ipv4 ? bytes_of(skb, IP_AT + sizeof(struct iphdr))
		    : bytes_of(skb, IP_AT + sizeof(struct ipv6hdr));
	if (!data)
		return drop(skb, key.tunnel_id, skb->ifindex, IP_AT, DROP_MALFORMED);
	if (!(ipv4 ? read_addresses(skb, data + IP_AT, IP_AT, true, &source, &destination)
		   : read_addresses(skb, data + IP_AT, IP_AT, false, &source, &destination)))
		return drop(skb, key.tunnel_id, skb->ifindex, IP_AT, DROP_MALFORMED);
	endpoint = endpoint_of(key.tunnel_id, &destination);
	if (!endpoint)
		return drop_unknown(skb, key.tunnel_id, IP_AT);
	host = owner_of(key.tunnel_id, &source);
	if (!host || !address_equal(&host->address, &outer))
		return drop(skb, key.tunnel_id, endpoint->ifindex, IP_AT, DROP_WRONG_HOST);
	count(skb, PATH_DEVICE_IN);
	if (endpoint->flags & ENDPOINT_HOST)
		return to_host(skb, key.tunnel_id);
	return deliver(skb, data, endpoint, facts);
}

#endif
