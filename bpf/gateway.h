/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between a network and the host's own stack, by the network's gateway device (R10). Inwards a packet comes in
 * by that device as if from a wire, marked as one that the host's table has yet to look at. Outwards, what the
 * stack sends into the device goes to an endpoint of the network, if it carries the table's mark.
 */
#ifndef CARRICK_GATEWAY_H
#define CARRICK_GATEWAY_H

#include "send.h"

/* Told before the packet is handed over: the host may track its connection. */
static __always_inline void note_tracked(struct device *device)
{
	if (device->flags & DEVICE_UNTRACKED)
		device->flags &= ~DEVICE_UNTRACKED;
}

/* Hands the packet to the host's stack. Never without the mark: what is not looked at must not pass. */
static __always_inline int enter_host(struct __sk_buff *skb, const struct network *network,
				      const struct config *facts, __u32 vni)
{
	void *frame = bytes_of(skb, ETH_BYTES);

	if (!frame || !network->gateway_ifindex || !facts->mark_unchecked)
		return drop(skb, vni, skb->ifindex, IP_AT, DROP_NO_ROUTE);
	/* The stack takes frames to any other MAC for another host's. */
	mac_copy(frame, facts->fabric_mac);
	skb->mark = facts->mark_unchecked | network->mark;
	count(skb, PATH_TO_HOST);
	return bpf_redirect(network->gateway_ifindex, BPF_F_INGRESS);
}

/* The same for a packet whose endpoint is the host itself. */
static __noinline int to_host(struct __sk_buff *skb, __u32 vni)
{
	struct network *network = bpf_map_lookup_elem(&networks, &vni);
	struct config *facts = get_config();

	if (!network || !facts)
		return drop(skb, vni, skb->ifindex, IP_AT, DROP_NO_NETWORK);
	return enter_host(skb, network, facts, vni);
}

/* Nobody in the network may have this from the host; its stack is told so in the name of the destination. */
static __noinline int tell_host(struct __sk_buff *skb, __u32 vni, struct address *destination,
				enum drop_reason reason)
{
	struct error error = {
		.source = *destination,
		.vni = vni,
		.ifindex = skb->ifindex,
		.reason = reason,
		.type4 = 3,
		.code4 = 1,
		.type6 = 1,
		.code6 = 3,
	};

	return drop_with_error_to_host(skb, &error);
}

/* The endpoint of that address, without a look where there can be none. */
static __always_inline struct endpoint *member_of(const struct gateway *gateway,
						  const struct endpoint_key *key, bool ipv4)
{
	const struct address *a = &key->address;

	if (!in_prefix(ipv4 ? &gateway->around4 : &gateway->around6, a) &&
	    !(ipv4 ? ipv4_link_local(a->word[3]) : address_link_local(a)))
		return NULL;
	return bpf_map_lookup_elem(&endpoints, key);
}

/* A packet that the host's stack sends into a gateway device. */
static __always_inline int host_packet(struct __sk_buff *skb, struct gateway *gateway,
				       struct config *facts, bool ipv4)
{
	__u32 header = ipv4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	struct endpoint_key from = { .vni = gateway->vni }, to = { .vni = gateway->vni };
	struct sender sender = { .vni = gateway->vni, .carrier = gateway->carrier, .host = true };
	void *frame = bytes_of(skb, IP_AT + header);
	struct endpoint *source, *endpoint;

	if (!frame || !read_addresses(skb, frame + IP_AT, IP_AT, ipv4, &from.address, &to.address))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	if ((*(__u8 *)frame & 1) || address_on_link(&to.address, ipv4))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_IGNORED);
	if (!(skb->mark & facts->mark_passed))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_CLOSED);
	/* Whoever has an address of the network sends by its own device. */
	source = member_of(gateway, &from, ipv4);
	if ((source && source->ifindex != skb->ifindex) || address_loopback(&from.address, ipv4))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_SPOOFED);
	endpoint = bpf_map_lookup_elem(&endpoints, &to);
	if (!endpoint || (endpoint->flags & ENDPOINT_HOST))
		return tell_host(skb, to.vni, &to.address, DROP_NO_ENDPOINT);
	/* Other hosts take from this one only what comes from an address of its own (R4). */
	if (!endpoint->ifindex && !source)
		return tell_host(skb, to.vni, &to.address, DROP_NO_ROUTE);
	if (too_big(skb, frame, ipv4, gateway->mtu))
		return tell_too_big(skb, to.vni, gateway->mtu, &to.address, true);
	skb->mark &= ~facts->mark_mask;
	if (!endpoint->ifindex) {
		/* A vxlan device, whose MAC is the fabric's, takes frames from its own MAC for a loop. */
		*(__u8 *)(frame + 11) = ~facts->fabric_mac[5];
		return send_remote(skb, frame, &sender, endpoint, ipv4,
				   ipv4 ? ((struct iphdr *)(frame + IP_AT))->tos : class6(frame + IP_AT),
				   &to.address);
	}
	if (endpoint->flags & ENDPOINT_UNTRACKED)
		endpoint->flags &= ~ENDPOINT_UNTRACKED;
	macs_write(frame, endpoint->mac, facts->fabric_mac);
	count(skb, PATH_FROM_HOST);
	return bpf_redirect(endpoint->ifindex, 0);
}

#endif
