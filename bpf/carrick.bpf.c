// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The datapath: what happens to one packet.
 *
 * from_container (ingress of every endpoint's host-side device, by a shared block): questions about
 * neighbours are answered; source MAC and address must be the endpoint's; the destination is a neighbour
 * here (redirected into its device), an endpoint elsewhere (VXLAN or direct), the host itself or the outside
 * (redirected into the network's gateway device), or nobody (told so).
 * from_underlay (ingress of every underlay device): VXLAN for us, and bare packets for direct networks, are
 * delivered; everything else is the host's own and passes untouched.
 * from_vxlan_device (ingress of the collect-metadata device): what from_underlay left to the kernel.
 * to_network (egress of every gateway device, by a shared block): what the host's stack sends to a container,
 * from itself or from outside, is delivered like a neighbour's, if the host's table let it pass.
 *
 * Closed by default: what the maps do not know passes nothing.
 */
#include "outward.h"
#include "receive.h"

static __always_inline int container4(struct __sk_buff *skb, struct device *device, struct config *facts)
{
	void *data = bytes_of(skb, IP_AT + sizeof(struct iphdr));
	struct endpoint_key to = { .vni = device->vni };
	struct endpoint *endpoint;
	struct iphdr *ip;

	if (!data)
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	if (!mac_equal(data + 6, device->mac))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_SPOOFED);
	if (*(__u8 *)data & 1)
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_IGNORED);
	ip = data + IP_AT;
	if (!valid4(skb, ip, skb->len - IP_AT))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	if (!owns4(device, skb->ifindex, ip->saddr))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_SPOOFED);
	address_map4(&to.address, ip->daddr);
	endpoint = bpf_map_lookup_elem(&endpoints, &to);
	if (!endpoint)
		return leave(skb, device, &to.address, ipv4_link_local(ip->saddr));
	if (!endpoint->ifindex) {
		struct sender sender = { .vni = device->vni, .carrier = device->carrier };

		return send_remote(skb, data, &sender, endpoint, true, ip->tos, &to.address);
	}
	if (endpoint->flags & ENDPOINT_HOST) {
		note_tracked(device);
		return to_host(skb, to.vni);
	}
	count(skb, PATH_LOCAL);
	return deliver(skb, data, endpoint, facts);
}

static __always_inline int container6(struct __sk_buff *skb, struct device *device, struct config *facts)
{
	void *data = bytes_of(skb, IP_AT + sizeof(struct ipv6hdr));
	struct endpoint_key to = { .vni = device->vni };
	struct endpoint *endpoint;
	struct address source;
	struct ipv6hdr *ip;

	if (!data)
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	if (!mac_equal(data + 6, device->mac))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_SPOOFED);
	ip = data + IP_AT;
	if (!valid6(skb, ip, skb->len - IP_AT))
		return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	if (*(__u8 *)data & 1)
		return answer_link6(skb, device);
	if (ip->nexthdr == ICMPV6) {
		data = bytes_of(skb, IP_AT + sizeof(*ip) + 1);
		if (!data)
			return drop(skb, to.vni, skb->ifindex, IP_AT, DROP_MALFORMED);
		ip = data + IP_AT;
		if ((__u8)(*(__u8 *)(ip + 1) - ND_ROUTER_SOLICIT) <= ND_REDIRECT - ND_ROUTER_SOLICIT)
			return answer_link6(skb, device);
	}
	address_copy6(&source, &ip->saddr);
	address_copy6(&to.address, &ip->daddr);
	if (!owns6(device, skb->ifindex, &source))
		return drop(skb, to.vni, skb->ifindex, IP_AT,
			    address_link_local(&source) && address_link_local(&to.address) ?
				    DROP_IGNORED :
				    DROP_SPOOFED);
	endpoint = bpf_map_lookup_elem(&endpoints, &to);
	if (!endpoint)
		return leave(skb, device, &to.address, address_link_local(&source));
	if (!endpoint->ifindex) {
		struct sender sender = { .vni = device->vni, .carrier = device->carrier };

		return send_remote(skb, data, &sender, endpoint, false, class6(ip), &to.address);
	}
	if (endpoint->flags & ENDPOINT_HOST) {
		note_tracked(device);
		return to_host(skb, to.vni);
	}
	count(skb, PATH_LOCAL);
	return deliver(skb, data, endpoint, facts);
}

/* Everything that is neither IPv4 nor IPv6. */
static __noinline int container_other(struct __sk_buff *skb, struct device *device)
{
	__u16 ethertype = bpf_ntohs(skb->protocol);
	void *data = bytes_of(skb, ETH_BYTES);

	if (!data)
		return drop(skb, device->vni, skb->ifindex, IP_AT, DROP_MALFORMED);
	if (!mac_equal(data + 6, device->mac))
		return drop(skb, device->vni, skb->ifindex, IP_AT, DROP_SPOOFED);
	if (ethertype == ETH_P_ARP)
		return answer_arp(skb, device);
	return drop(skb, device->vni, skb->ifindex, IP_AT,
		    ethertype == ETH_P_8021Q || ethertype == ETH_P_8021AD ? DROP_TAGGED : DROP_NOT_IP);
}

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct device *device = bpf_map_lookup_elem(&devices, &ifindex);
	struct config *facts = get_config();

	if (!device || !facts)
		return drop(skb, 0, ifindex, IP_AT, DROP_NO_NETWORK);
	if (skb->vlan_present)
		return drop(skb, device->vni, ifindex, IP_AT, DROP_TAGGED);
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return container4(skb, device, facts);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return container6(skb, device, facts);
	return container_other(skb, device);
}

SEC("tc")
int from_underlay(struct __sk_buff *skb)
{
	struct config *facts = get_config();

	if (!facts || skb->pkt_type == PACKET_OTHERHOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return receive4(skb, facts);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return receive6(skb, facts);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int from_vxlan_device(struct __sk_buff *skb)
{
	struct config *facts = get_config();

	return facts ? receive_from_device(skb, facts) : TC_ACT_SHOT;
}

SEC("tc")
int to_network(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct gateway *gateway = bpf_map_lookup_elem(&gateways, &ifindex);
	struct config *facts = get_config();

	if (!gateway || !facts)
		return drop(skb, 0, ifindex, IP_AT, DROP_NO_NETWORK);
	if (skb->vlan_present)
		return drop(skb, gateway->vni, ifindex, IP_AT, DROP_TAGGED);
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return host_packet(skb, gateway, facts, true);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return host_packet(skb, gateway, facts, false);
	return drop(skb, gateway->vni, ifindex, IP_AT, DROP_NOT_IP);
}

/* Asked by a test run at start: can an IPv6 header be stripped from an IPv4 packet? 0 for yes. */
SEC("tc")
int probe_strip(struct __sk_buff *skb)
{
	return bpf_skb_adjust_room(skb, -40, BPF_ADJ_ROOM_MAC, ADJ_ROOM_DECAP_L3_IPV4) ? 1 : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
