// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The way out of a network while the host's table is away (R7): a packet that a program handed to the host's
 * stack is marked as unchecked until the table has looked at it. What still carries that mark where packets
 * are forwarded or delivered has met no table, and ends. A flushed ruleset takes this along in no way.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* As far as it is read; the kernel's type information has the places. include/linux/netfilter.h */
struct sk_buff {
	__u32 mark;
} __attribute__((preserve_access_index));

struct bpf_nf_ctx {
	const void *state;
	struct sk_buff *skb;
} __attribute__((preserve_access_index));

#define NF_DROP 0
#define NF_ACCEPT 1

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} closed_marks SEC(".maps");

SEC("netfilter")
int closed(struct bpf_nf_ctx *ctx)
{
	__u32 zero = 0, *mark = bpf_map_lookup_elem(&closed_marks, &zero);

	return mark && (ctx->skb->mark & *mark) ? NF_DROP : NF_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
