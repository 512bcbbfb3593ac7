/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A checked packet of a container, or of the host itself, on its way: to a neighbour on this host, or by the network's carrier to
 * another host, if the path takes its size.
 */
#ifndef CARRICK_SEND_H
#define CARRICK_SEND_H

#include "icmp.h"
#include "vxlan.h"

#define GSO_BY_FRAGS 0xffff /* SCTP: segments lie ready, within the path's limit as SCTP knew it */

/*
 * Hands the frame to the container behind `endpoint`, as if it came in by the container's own device; where its
 * rate is limited, by way of the host's end, at whose queue it waits.
 */
static __always_inline int deliver(struct __sk_buff *skb, void *frame, const struct endpoint *endpoint,
				   const struct config *facts)
{
	macs_write(frame, endpoint->mac, facts->fabric_mac);
	if (endpoint->flags & ENDPOINT_SHAPED)
		return bpf_redirect(endpoint->ifindex, 0);
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect_peer(endpoint->ifindex, 0);
}

/*
 * True when the packet, or a segment of the super-packet, is larger than `limit` from its IP header on, which stands
 * in linear memory behind `frame`.
 */
static __always_inline bool too_big(struct __sk_buff *skb, const void *frame, bool ipv4, __u32 limit)
{
	__u32 gso = skb->gso_size, header = sizeof(struct ipv6hdr);
	const __u8 *ip = frame + IP_AT, *length;
	__u8 protocol = ip[ipv4 ? 9 : 6], words;

	if (skb->len - ETH_BYTES <= limit || gso == GSO_BY_FRAGS)
		return false;
	if (!gso)
		return true;
	if (ipv4)
		header = (ip[0] & 0x0f) * 4;
	if (protocol != IPPROTO_TCP)
		return header + sizeof(struct udphdr) + gso > limit;
	length = ip + header + 12;
	if ((const void *)(length + 1) <= CONTEXT_POINTER(skb, data_end))
		words = *length;
	else if (bpf_skb_load_bytes(skb, IP_AT + header + 12, &words, 1))
		return true;
	return header + (words >> 4) * 4 + gso > limit;
}

/* `source` is who says so where the gateway may not: to the host itself, which has the gateway's address. */
static __noinline int tell_too_big(struct __sk_buff *skb, __u32 vni, __u32 limit,
				   struct address *source, bool to_host)
{
	struct error error = {
		.source = *source,
		.vni = vni,
		.ifindex = skb->ifindex,
		.reason = DROP_TOO_BIG,
		.mtu = limit,
		.type4 = 3,
		.code4 = 4,
		.type6 = 2,
	};
	struct network *network = bpf_map_lookup_elem(&networks, &vni);

	if (to_host)
		return drop_with_error_to_host(skb, &error);
	if (network && skb->protocol == bpf_htons(ETH_P_IP) && !address_zero(&network->gateway4))
		error.source = network->gateway4;
	if (network && skb->protocol == bpf_htons(ETH_P_IPV6) && !address_zero(&network->gateway6))
		error.source = network->gateway6;
	return drop_with_error(skb, &error);
}

/* The packet as it is, routed by the underlay. */
static __always_inline int send_direct(struct __sk_buff *skb, void *frame, __u32 vni, bool ipv4,
				       struct host *host)
{
	if (ipv4 || (host->flags & HOST_NEXT_HOP_IPV6)) {
		count(skb, PATH_DIRECT_OUT);
		return redirect_to_next_hop(host);
	}
	/* The kernel resolves no IPv4 next hop for an IPv6 packet, so its MAC must be known. */
	if (!(host->flags & HOST_NEXT_HOP_MAC))
		return drop(skb, vni, skb->ifindex, IP_AT, DROP_NO_CARRIER);
	macs_write(frame, host->mac, host->device_mac);
	count(skb, PATH_DIRECT_OUT);
	return bpf_redirect(host->ifindex, 0);
}

/* Where a packet comes from: a container's device, or the gateway device of its network. */
struct sender {
	__u32 vni;
	__u8 carrier;
	bool host;
};

/* The network in which hosts find out what passes between them: src/model/probe-network.ts. */
#define PROBE_VNI 0xfffffe

/* A datagram that asks whether its size passes, whatever is believed to: only IPv6 is probed with. */
static __always_inline bool is_probe(__u32 vni, const void *frame, bool ipv4)
{
	return vni == PROBE_VNI && !ipv4 &&
	       ((const struct ipv6hdr *)(frame + IP_AT))->nexthdr == IPPROTO_UDP;
}

/* By the carrier of the sender's network to the host that `endpoint` names. */
static __always_inline int send_remote(struct __sk_buff *skb, void *frame, const struct sender *sender,
				       struct endpoint *endpoint, bool ipv4, __u8 tos,
				       struct address *destination)
{
	struct host *host = bpf_map_lookup_elem(&hosts, &endpoint->host);
	__u32 vni = sender->vni, limit;
	__u8 carrier = sender->carrier;
	bool direct;

	if (!host || !(host->flags & HOST_VALID) || carrier == CARRIER_LOCAL)
		return drop(skb, vni, skb->ifindex, IP_AT, DROP_NO_CARRIER);
	direct = carrier != CARRIER_VXLAN && (host->flags & HOST_ON_LINK) &&
		 !(ipv4 ? ipv4_link_local(destination->word[3]) : address_link_local(destination));
	/* A router in between would not know where the network is, nor the host whose a link-local address is. */
	if (carrier == CARRIER_DIRECT && !direct)
		return drop(skb, vni, skb->ifindex, IP_AT, DROP_NO_CARRIER);
	limit = host->mtu;
	if (!direct)
		limit -= host->flags & HOST_IPV6 ? OUTER6_BYTES : OUTER4_BYTES;
	if (!is_probe(vni, frame, ipv4) && too_big(skb, frame, ipv4, limit))
		return tell_too_big(skb, vni, limit, destination, sender->host);
	if (direct)
		return send_direct(skb, frame, vni, ipv4, host);
	return send_by_vxlan(skb, frame, ipv4, vni, tos, host);
}

#endif
