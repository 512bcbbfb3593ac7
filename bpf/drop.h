/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a packet: counted by device and reason, and now and then told to user space. */
#ifndef CARRICK_DROP_H
#define CARRICK_DROP_H

#include "packet.h"

#define ANSWER_EVERY_NS 5000000ULL /* 200 ICMP errors a second and endpoint, 50 at once */
#define ANSWER_BURST_NS (50 * ANSWER_EVERY_NS)
#define EVENT_EVERY_NS 10000000ULL /* 100 samples a second and device, 20 at once */
#define EVENT_BURST_NS (20 * EVENT_EVERY_NS)

/* True when `due` allows one more now; races between CPUs only blur the rate. */
static __always_inline bool allowed(__u64 *due, __u64 now, __u64 every, __u64 burst)
{
	__u64 next = *due < now ? now : *due;

	if (next + every > now + burst)
		return false;
	*due = next + every;
	return true;
}

static __always_inline struct allowance *allowance_of(__u32 ifindex)
{
	struct allowance *found = bpf_map_lookup_elem(&allowances, &ifindex);
	struct allowance fresh = {};

	if (found)
		return found;
	bpf_map_update_elem(&allowances, &ifindex, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&allowances, &ifindex);
}

static __always_inline void describe_ports(struct __sk_buff *skb, struct drop_event *event, __u32 at)
{
	__be16 ports[2] = {};

	if (event->protocol != IPPROTO_TCP && event->protocol != IPPROTO_UDP &&
	    event->protocol != IPPROTO_SCTP)
		return;
	if (bpf_skb_load_bytes(skb, at, ports, sizeof(ports)))
		return;
	event->source_port = ports[0];
	event->destination_port = ports[1];
}

/* Fills in what can be read of the headers; `ip_at` is where the IP header stands, behind its EtherType. */
static __noinline int describe(struct __sk_buff *skb, struct drop_event *event, __u32 ip_at)
{
	union {
		struct iphdr ip4;
		struct ipv6hdr ip6;
		__be16 arp[14];
	} header;

	if (bpf_skb_load_bytes(skb, ip_at - 2, &event->ethertype, 2))
		return 0;
	if (event->ethertype == bpf_htons(ETH_P_IP) &&
	    !bpf_skb_load_bytes(skb, ip_at, &header.ip4, sizeof(header.ip4))) {
		address_map4(&event->source, header.ip4.saddr);
		address_map4(&event->destination, header.ip4.daddr);
		event->protocol = header.ip4.protocol;
		if (!(header.ip4.frag_off & bpf_htons(0x1fff)))
			describe_ports(skb, event, ip_at + (*(__u8 *)&header.ip4 & 0x0f) * 4);
	} else if (event->ethertype == bpf_htons(ETH_P_IPV6) &&
		   !bpf_skb_load_bytes(skb, ip_at, &header.ip6, sizeof(header.ip6))) {
		address_copy6(&event->source, &header.ip6.saddr);
		address_copy6(&event->destination, &header.ip6.daddr);
		event->protocol = header.ip6.nexthdr;
		describe_ports(skb, event, ip_at + sizeof(header.ip6));
	} else if (event->ethertype == bpf_htons(ETH_P_ARP) &&
		   !bpf_skb_load_bytes(skb, ip_at, header.arp, sizeof(header.arp))) {
		address_map4(&event->source, header.arp[7] | (__u32)header.arp[8] << 16);
		address_map4(&event->destination, header.arp[12] | (__u32)header.arp[13] << 16);
	}
	return 0;
}

static __always_inline void tell(struct __sk_buff *skb, __u32 vni, __u32 ifindex, __u32 ip_at,
				 __u32 reason)
{
	struct allowance *allowance = allowance_of(ifindex);
	__u64 now = bpf_ktime_get_ns();
	struct drop_event *event;

	if (!allowance || !allowed(&allowance->event_ns, now, EVENT_EVERY_NS, EVENT_BURST_NS))
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now;
	event->vni = vni;
	event->ifindex = ifindex;
	event->length = skb->len;
	event->reason = reason;
	describe(skb, event, ip_at);
	bpf_ringbuf_submit(event, 0);
}

/* Counts and samples the packet and gives the verdict that ends it. */
static __noinline int drop(struct __sk_buff *skb, __u32 vni, __u32 ifindex, __u32 ip_at,
			   enum drop_reason reason)
{
	struct drop_key key = { .ifindex = ifindex, .reason = reason };
	struct counter *counter = bpf_map_lookup_elem(&drops, &key);

	if (counter) {
		counter->packets++;
		counter->bytes += skb->len;
	} else {
		struct counter first = { .packets = 1, .bytes = skb->len };

		bpf_map_update_elem(&drops, &key, &first, BPF_ANY);
	}
	tell(skb, vni, ifindex, ip_at, reason);
	return TC_ACT_SHOT;
}

#endif
