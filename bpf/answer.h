/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the fabric answers itself: ARP and neighbour solicitations for every address of the network, so that
 * no broadcast leaves the host, and echo requests to the gateway's anycast address. A question for one's own
 * address, or from no address, is duplicate detection and stays unanswered (R29). A container that was given
 * addresses of 169.254/16 takes all of those for its neighbours: the resolver, too, is found by an answer.
 */
#ifndef CARRICK_ANSWER_H
#define CARRICK_ANSWER_H

#include "icmp.h"

#define ND_ROUTER_SOLICIT 133
#define ND_NEIGHBOUR_SOLICIT 135
#define ND_NEIGHBOUR_ADVERT 136
#define ND_REDIRECT 137
#define ND_SOURCE_MAC 1
#define ND_TARGET_MAC 2

struct arp_frame {
	__u8 macs[12];
	__be16 ethertype;
	__be16 hardware, protocol;
	__u8 hardware_bytes, protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

/* A neighbour message with the one option that a solicitation or an advertisement carries. */
struct nd_frame {
	__u8 macs[12];
	__be16 ethertype;
	struct ipv6hdr ip;
	__u8 type, code;
	__u16 check;
	__be32 flags;
	struct address target;
	__u8 option, option_length, option_mac[6];
} __attribute__((packed));

#define ND_WITHOUT_OPTION (sizeof(struct nd_frame) - 8)

/* True when the address is a further one of this device's endpoint. */
static __noinline bool owns(const struct device *device, __u32 ifindex,
				 const struct address *address)
{
	struct endpoint_key key = { .vni = device->vni, .address = *address };
	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &key);

	return endpoint && endpoint->ifindex == ifindex;
}

static __always_inline bool owns4(const struct device *device, __u32 ifindex, __be32 ipv4)
{
	struct address address;

	if (ipv4 == device->address4 && ipv4)
		return true;
	address_map4(&address, ipv4);
	return owns(device, ifindex, &address);
}

static __always_inline bool owns6(const struct device *device, __u32 ifindex,
				  const struct address *address)
{
	if (address_equal(address, &device->address6) && !address_zero(address))
		return true;
	return owns(device, ifindex, address);
}

/* True when the fabric answers for the address: the network's own, its gateway, or a link-local one. */
static __always_inline bool in_network(__u32 vni, struct address *address)
{
	struct network *network = bpf_map_lookup_elem(&networks, &vni);
	struct endpoint_key key = { .vni = vni, .address = *address };

	if (!network)
		return false;
	if (in_prefixes(network, address) || address_equal(address, &network->gateway4) ||
	    address_equal(address, &network->gateway6) || address_link_local4(address))
		return true;
	return address_link_local(address) && bpf_map_lookup_elem(&endpoints, &key);
}

static __always_inline bool is_gateway6(__u32 vni, const struct address *address)
{
	struct network *network = bpf_map_lookup_elem(&networks, &vni);

	return network && address_equal(address, &network->gateway6);
}

static __noinline int answer_arp(struct __sk_buff *skb, struct device *device)
{
	struct arp_frame *arp = bytes_of(skb, sizeof(*arp));
	__u32 ifindex = skb->ifindex, vni;
	struct config *facts = get_config();
	struct address target;
	__be32 sender;

	if (!facts)
		return TC_ACT_SHOT;
	vni = device->vni;
	if (!arp || arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_bytes != 6 || arp->protocol_bytes != 4)
		return drop(skb, vni, ifindex, IP_AT, DROP_MALFORMED);
	__builtin_memcpy(&sender, arp->sender_ip, 4);
	address_map4(&target, 0);
	__builtin_memcpy(&target.word[3], arp->target_ip, 4);
	if (!mac_equal(arp->sender_mac, device->mac) || (sender && !owns4(device, ifindex, sender)))
		return drop(skb, vni, ifindex, IP_AT, DROP_SPOOFED);
	if (!sender || arp->operation != bpf_htons(1) || owns4(device, ifindex, target.word[3]))
		return drop(skb, vni, ifindex, IP_AT, DROP_IGNORED);
	if (!in_network(vni, &target))
		return drop(skb, vni, ifindex, IP_AT, DROP_NO_ROUTE);
	macs_write(arp, device->mac, facts->fabric_mac);
	arp->operation = bpf_htons(2);
	mac_copy(arp->target_mac, device->mac);
	__builtin_memcpy(arp->target_ip, &sender, 4);
	mac_copy(arp->sender_mac, facts->fabric_mac);
	__builtin_memcpy(arp->sender_ip, &target.word[3], 4);
	count(skb, PATH_ANSWERED);
	return bpf_redirect(ifindex, 0);
}

static __always_inline int advertise(struct __sk_buff *skb, const struct device *device,
				     const struct address *asker, const struct address *target)
{
	struct config *facts = get_config();
	struct nd_frame nd = {};
	__u64 sum;

	if (!facts || (skb->len != sizeof(nd) && bpf_skb_change_tail(skb, sizeof(nd), 0)))
		return drop(skb, device->vni, skb->ifindex, IP_AT, DROP_FAILED);
	__builtin_memcpy(nd.macs, device->mac, 6);
	__builtin_memcpy(nd.macs + 6, facts->fabric_mac, 6);
	nd.ethertype = bpf_htons(ETH_P_IPV6);
	*(__u8 *)&nd.ip = 0x60;
	nd.ip.payload_len = bpf_htons(32);
	nd.ip.nexthdr = ICMPV6;
	nd.ip.hop_limit = 255;
	__builtin_memcpy(&nd.ip.saddr, target, 16);
	__builtin_memcpy(&nd.ip.daddr, asker, 16);
	nd.type = ND_NEIGHBOUR_ADVERT;
	/* Solicited and override; a router if it is the gateway. RFC 4861 §4.4 */
	nd.flags = is_gateway6(device->vni, target) ? bpf_htonl(0xe0000000) : bpf_htonl(0x60000000);
	nd.target = *target;
	nd.option = ND_TARGET_MAC;
	nd.option_length = 1;
	__builtin_memcpy(nd.option_mac, facts->fabric_mac, 6);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)((void *)&nd + 22), 64, 0); /* addresses and message */
	nd.check = checksum(sum + bpf_htons(32) + bpf_htons(ICMPV6));
	if (bpf_skb_store_bytes(skb, 0, &nd, sizeof(nd), 0))
		return drop(skb, device->vni, skb->ifindex, IP_AT, DROP_FAILED);
	count(skb, PATH_ANSWERED);
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline int answer_nd(struct __sk_buff *skb, struct device *device, __u8 type)
{
	struct nd_frame *nd = bytes_of(skb, ND_WITHOUT_OPTION);
	__u32 ifindex = skb->ifindex, vni = device->vni;
	struct address asker, target;
	bool solicit = type == ND_NEIGHBOUR_SOLICIT;

	if (type != ND_NEIGHBOUR_SOLICIT && type != ND_NEIGHBOUR_ADVERT)
		return drop(skb, vni, ifindex, IP_AT, DROP_IGNORED);
	if (!nd || nd->ip.hop_limit != 255 || nd->code)
		return drop(skb, vni, ifindex, IP_AT, DROP_MALFORMED);
	__builtin_memcpy(&asker, &nd->ip.saddr, 16);
	__builtin_memcpy(&target, &nd->target, 16);
	if (!address_link_local(&asker) && !address_zero(&asker) && !owns6(device, ifindex, &asker))
		return drop(skb, vni, ifindex, IP_AT, DROP_SPOOFED);
	if (!solicit && !address_link_local(&target) && !owns6(device, ifindex, &target))
		return drop(skb, vni, ifindex, IP_AT, DROP_SPOOFED);
	if (!solicit || address_zero(&asker) || owns6(device, ifindex, &target))
		return drop(skb, vni, ifindex, IP_AT, DROP_IGNORED);
	if (skb->len >= sizeof(*nd)) {
		nd = bytes_of(skb, sizeof(*nd));
		if (!nd)
			return drop(skb, vni, ifindex, IP_AT, DROP_MALFORMED);
		if (nd->option == ND_SOURCE_MAC && !mac_equal(nd->option_mac, device->mac))
			return drop(skb, vni, ifindex, IP_AT, DROP_SPOOFED);
	}
	if (in_network(vni, &target))
		return advertise(skb, device, &asker, &target);
	return drop(skb, vni, ifindex, IP_AT,
		    address_link_local(&target) ? DROP_IGNORED : DROP_NO_ROUTE);
}

/* IPv6 that stays on its link: neighbour messages are answered, the rest is noise or not sent at all. */
static __noinline int answer_link6(struct __sk_buff *skb, struct device *device)
{
	struct ipv6hdr *ip;
	void *data = bytes_of(skb, IP_AT + sizeof(*ip) + 8);
	__u8 type;

	if (!data)
		return drop(skb, device->vni, skb->ifindex, IP_AT,
			    skb->len < IP_AT + sizeof(*ip) ? DROP_MALFORMED : DROP_IGNORED);
	ip = data + IP_AT;
	type = *(__u8 *)(data + IP_AT + sizeof(*ip));
	if (ip->nexthdr == ICMPV6 && type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT)
		return answer_nd(skb, device, type);
	return drop(skb, device->vni, skb->ifindex, IP_AT, DROP_IGNORED);
}

/* Turns an echo request in place into its reply; false when it is anything else. RFC 792, RFC 4443 §4 */
static __always_inline bool echo4(struct __sk_buff *skb)
{
	struct iphdr *ip;
	void *data = bytes_of(skb, IP_AT + sizeof(*ip) + 8);
	__u8 *icmp;
	__be32 asked;

	if (!data)
		return false;
	ip = data + IP_AT;
	icmp = (void *)(ip + 1);
	if (*(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_ICMP || icmp[0] != 8 || icmp[1] ||
	    (ip->frag_off & bpf_htons(0x3fff)))
		return false;
	icmp[0] = 0;
	*(__u16 *)(icmp + 2) = checksum_adjust(*(__u16 *)(icmp + 2), bpf_htons(0x0800), 0);
	asked = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = asked;
	return true;
}

static __always_inline bool echo6(struct __sk_buff *skb)
{
	struct ipv6hdr *ip;
	void *data = bytes_of(skb, IP_AT + sizeof(*ip) + 8);
	struct address asked, asker;
	__u8 *icmp;

	if (!data)
		return false;
	ip = data + IP_AT;
	icmp = (void *)(ip + 1);
	if (ip->nexthdr != ICMPV6 || icmp[0] != 128 || icmp[1])
		return false;
	icmp[0] = 129;
	*(__u16 *)(icmp + 2) =
		checksum_adjust(*(__u16 *)(icmp + 2), bpf_htons(0x8000), bpf_htons(0x8100));
	address_copy6(&asked, &ip->daddr);
	address_copy6(&asker, &ip->saddr);
	__builtin_memcpy(&ip->daddr, &asker, 16);
	__builtin_memcpy(&ip->saddr, &asked, 16);
	return true;
}

#endif
