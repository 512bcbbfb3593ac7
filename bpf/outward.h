/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A container's packet to an address that no endpoint has: the gateway's own, which answers echo, and the
 * outside go to the host's stack by the gateway device; an absent neighbour, an address that is closed, and
 * everything in a network without gateway is told to be unreachable. The resolver of names is reached from
 * every network, at one port.
 */
#ifndef CARRICK_OUTWARD_H
#define CARRICK_OUTWARD_H

#include "answer.h"
#include "gateway.h"

/* Where clouds answer questions about the machine, among them for its credentials. */
static __always_inline bool address_metadata(const struct address *a, bool ipv4)
{
	if (ipv4)
		return a->word[3] == bpf_htonl(0xa9fea9fe);
	return a->word[0] == bpf_htonl(0xfd000ec2) && !a->word[1] && !a->word[2] &&
	       a->word[3] == bpf_htonl(0x254);
}

/*
 * True for what means another place to the host than to the container: 0/8, 127/8 and 169.254/16, and of IPv6
 * ::/64, where loopback is and IPv4 in disguise.
 */
static __always_inline bool address_own_place(const struct address *a, bool ipv4)
{
	if (!ipv4)
		return !(a->word[0] | a->word[1]);
	return !(a->word[3] & bpf_htonl(0xff000000)) || address_loopback(a, true) ||
	       ipv4_link_local(a->word[3]);
}

/* RFC 1035 §4.2 */
#define DNS_PORT 53

/* True for TCP and UDP, whole, to the port where names are asked for. */
static __always_inline bool asks_for_name(struct __sk_buff *skb, bool ipv4)
{
	__u32 header = sizeof(struct ipv6hdr);
	__u8 protocol;
	__be16 port;

	if (ipv4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, IP_AT, &ip, sizeof(ip)) ||
		    (ip.frag_off & bpf_htons(0x3fff)))
			return false;
		header = ip.ihl * 4;
		protocol = ip.protocol;
	} else if (bpf_skb_load_bytes(skb, IP_AT + 6, &protocol, 1)) {
		return false;
	}
	return (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP) &&
	       !bpf_skb_load_bytes(skb, IP_AT + header + 2, &port, 2) &&
	       port == bpf_htons(DNS_PORT);
}

static __always_inline bool is_resolver(const struct address *a, const struct config *facts, bool ipv4)
{
	return address_equal(a, ipv4 ? &facts->resolver4 : &facts->resolver6) && !address_zero(a);
}

/* `stays`: the source means something on its link only, and nobody outside could answer it (RFC 3927 §2.7). */
static __noinline int leave(struct __sk_buff *skb, struct device *device, struct address *destination,
			    bool stays)
{
	struct error error = { .ifindex = skb->ifindex, .source = *destination, .type4 = 3, .type6 = 1 };
	bool ipv4 = skb->protocol == bpf_htons(ETH_P_IP), at_gateway;
	struct config *facts = get_config();
	struct network *network;
	struct address *gateway;

	if (!facts)
		return TC_ACT_SHOT;
	error.vni = device->vni;
	network = bpf_map_lookup_elem(&networks, &error.vni);
	if (!network)
		return drop(skb, error.vni, error.ifindex, IP_AT, DROP_NO_NETWORK);
	if (address_on_link(destination, ipv4))
		return drop(skb, error.vni, error.ifindex, IP_AT, DROP_IGNORED);
	gateway = ipv4 ? &network->gateway4 : &network->gateway6;
	at_gateway = address_equal(destination, gateway) && !address_zero(gateway);
	if (at_gateway && (ipv4 ? echo4(skb) : echo6(skb))) {
		void *frame = bytes_of(skb, ETH_BYTES);

		if (!frame)
			return TC_ACT_SHOT;
		macs_write(frame, device->mac, facts->fabric_mac);
		count(skb, PATH_ANSWERED);
		return bpf_redirect(error.ifindex, 0);
	}
	error.reason = DROP_NO_ROUTE;
	if (stays) {
		/* It is told that there is no way. */
	} else if (is_resolver(destination, facts, ipv4) && network->gateway_ifindex) {
		if (asks_for_name(skb, ipv4)) {
			note_tracked(device);
			return enter_host(skb, network, facts, error.vni);
		}
		error.reason = DROP_CLOSED;
		error.code4 = 13; /* administratively prohibited */
		error.code6 = 1;
	} else if (!at_gateway && in_prefixes(network, destination)) {
		error.reason = DROP_NO_ENDPOINT;
		error.code4 = 1;
		error.code6 = 3;
	} else if (network->gateway_ifindex && !(network->flags & NETWORK_INTERNAL)) {
		bool metadata = address_metadata(destination, ipv4);

		if (metadata && !(network->flags & NETWORK_OPEN_METADATA)) {
			error.reason = DROP_CLOSED;
			error.code4 = 13; /* administratively prohibited */
			error.code6 = 1;
		} else if (metadata || !address_own_place(destination, ipv4)) {
			note_tracked(device);
			return enter_host(skb, network, facts, error.vni);
		}
	}
	if (!address_zero(gateway))
		error.source = *gateway;
	return drop_with_error(skb, &error);
}

#endif
