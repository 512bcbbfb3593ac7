/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps: what user space tells the programs, and what they tell back. Layouts are repeated in
 * src/hoststate/structs.ts and compared with this object's type information by a test. Every padding byte is
 * named and zero.
 */
#ifndef CARRICK_MAPS_H
#define CARRICK_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "address.h"
#include "reasons.h"

#define MAX_PREFIXES 16

enum carrier { CARRIER_LOCAL = 0, CARRIER_VXLAN = 1, CARRIER_DIRECT = 2, CARRIER_AUTO = 3 };

enum host_flag {
	HOST_VALID = 1,
	HOST_IPV6 = 2, /* its underlay address is IPv6 */
	HOST_ON_LINK = 4,
	HOST_NEXT_HOP_IPV6 = 8,
	HOST_NEXT_HOP_MAC = 16, /* `mac` is known */
};

enum config_flag { CONFIG_CROSS_FAMILY_STRIP = 1, CONFIG_DIRECT = 2 };

/*
 * UNTRACKED stands from the making of an entry until the host's stack has the first packet of that container:
 * so long the host tracks no connection of it.
 */
enum endpoint_flag {
	ENDPOINT_HOST = 1, /* the host itself: `ifindex` is the network's gateway device */
	ENDPOINT_UNTRACKED = 2, /* nothing came to it from the host's stack */
	ENDPOINT_SHAPED = 4, /* what goes to it waits at its host-side device for its turn */
};

enum device_flag { DEVICE_UNTRACKED = 1 /* nothing went from it to the host's stack */ };

enum network_flag {
	NETWORK_OPEN_METADATA = 1, /* the cloud's metadata addresses may be asked */
	NETWORK_INTERNAL = 2, /* its gateway device is for questions to the resolver alone */
};

struct endpoint_key {
	__u32 vni;
	struct address address;
};

struct endpoint {
	__u32 ifindex; /* host-side device, 0 when on another host */
	__u32 host; /* row in `hosts` when on another host */
	__u8 mac[6];
	__u16 flags;
};

struct device {
	__u32 vni;
	__be32 address4; /* first address of each family, 0 for none */
	struct address address6;
	__u8 mac[6];
	enum carrier carrier : 8;
	__u8 flags;
};

struct prefix {
	struct address address;
	struct address mask;
};

struct network {
	struct address gateway4;
	struct address gateway6;
	struct prefix prefixes[MAX_PREFIXES];
	__u32 prefix_count;
	__u32 gateway_ifindex; /* device between the network and the host's own stack, 0 for none */
	__u32 mark; /* the network's index, where the packet mark has it */
	__u32 flags;
};

/* What a gateway device stands in, for packets that the host's stack sends into it. */
struct gateway {
	__u32 vni;
	__u32 carrier;
	__u32 mtu; /* of the network */
	struct prefix around4; /* the smallest one with all prefixes of the family: what is outside is no endpoint's */
	struct prefix around6;
};

struct host {
	struct address address;
	struct address local;
	struct address next_hop;
	__u32 ifindex;
	__u32 mtu; /* of the underlay path */
	__be16 port;
	__u16 flags;
	__u8 mac[6]; /* of the next hop */
	__u8 device_mac[6];
};

struct direct_prefix_key {
	__u32 bits;
	struct address address;
};

struct config {
	struct address local4;
	struct address local6;
	__u8 fabric_mac[6];
	__be16 vxlan_port;
	__u32 vxlan_ifindex;
	__u32 flags;
	__u32 mark_passed; /* what the host's table let pass carries this */
	__u32 mark_unchecked; /* what has yet to pass it */
	__u32 mark_mask; /* all bits of the packet mark that are ours */
	struct address resolver4; /* of names, zero for none */
	struct address resolver6;
};

struct drop_key {
	__u32 ifindex;
	__u32 reason;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct drop_event {
	__u64 time_ns;
	struct address source;
	struct address destination;
	__u32 vni;
	__u32 ifindex;
	__u32 length;
	__be16 source_port;
	__be16 destination_port;
	__be16 ethertype;
	__u8 reason;
	__u8 protocol;
	__u32 padding;
};

/* Theoretical arrival times of the next answer and the next event (generic cell rate algorithm). */
struct allowance {
	__u64 answer_ns;
	__u64 event_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, __u32);
	__type(value, struct network);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 12);
	__type(key, __u32);
	__type(value, struct gateway);
} gateways SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 14);
	__type(key, __u32);
	__type(value, struct host);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 12);
	__type(key, struct direct_prefix_key);
	__type(value, __u32);
} direct_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 1 << 13);
	__type(key, struct drop_key);
	__type(value, struct counter);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PATHS);
	__type(key, enum traffic_path);
	__type(value, struct counter);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 12);
	__type(key, __u32);
	__type(value, struct allowance);
} allowances SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

static __always_inline struct config *get_config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

#endif
