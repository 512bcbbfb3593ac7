// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Loopback clients of published ports (R16): what happens to one socket.
 *
 * A process of the host that connects or sends to 127.0.0.1 or ::1 at a published port is given the container
 * for a target instead, before there is a packet; no address is translated afterwards. What the socket
 * asked for is kept with the socket, and shown again by recvmsg and getpeername. Sockets of other network
 * namespaces, and those bound to a loopback address, are left as they are.
 *
 * Attached at the root of the cgroup tree, once per daemon; all daemons of a machine share that root, so each
 * program acts only on the namespaces in its own map (R35).
 */
#include <linux/bpf.h>
#include "address.h"

#define TCP 6
#define UDP 17
#define SOL_SOCKET 1
#define SO_MARK 36

/* Targets that one socket remembers, the oldest goes first; a connected one has a single one. */
#define MEMORIES 4

struct loopback_port {
	struct address address; /* zero: every loopback address of the family */
	__be16 port;
	__u8 protocol;
	__u8 family;
};

struct loopback_target {
	struct address address;
	__u32 mark; /* SO_MARK of the socket, 0 leaves it alone */
	__be16 port;
	__u16 padding;
};

struct memory {
	struct address target;
	struct address asked;
	__be16 target_port;
	__be16 asked_port;
};

struct socket_state {
	__u32 mark; /* that we gave it, 0 for none ... */
	__u32 former_mark; /* ... and the one it had */
	__u32 next;
	struct memory memories[MEMORIES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u32);
} host_netns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__type(key, struct loopback_port);
	__type(value, struct loopback_target);
} loopback_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} socket_states SEC(".maps");

/* The address and port in the context, whichever family the program is for. */
static __always_inline void read_context(struct bpf_sock_addr *ctx, bool ipv4, struct address *address)
{
	if (ipv4) {
		address_map4(address, ctx->user_ip4);
		return;
	}
	address->word[0] = ctx->user_ip6[0];
	address->word[1] = ctx->user_ip6[1];
	address->word[2] = ctx->user_ip6[2];
	address->word[3] = ctx->user_ip6[3];
}

static __always_inline void write_context(struct bpf_sock_addr *ctx, bool ipv4,
					  const struct address *address, __be16 port)
{
	if (ipv4) {
		ctx->user_ip4 = address->word[3];
	} else {
		ctx->user_ip6[0] = address->word[0];
		ctx->user_ip6[1] = address->word[1];
		ctx->user_ip6[2] = address->word[2];
		ctx->user_ip6[3] = address->word[3];
	}
	ctx->user_port = port;
}

/* True when the socket's own address is a loopback one: no packet under it may leave the host. */
static __always_inline bool bound_to_loopback(struct bpf_sock *sk)
{
	struct address own;

	if (sk->family == 2) { /* AF_INET */
		address_map4(&own, sk->src_ip4);
		return address_loopback(&own, true);
	}
	own.word[0] = sk->src_ip6[0];
	own.word[1] = sk->src_ip6[1];
	own.word[2] = sk->src_ip6[2];
	own.word[3] = sk->src_ip6[3];
	return address_loopback(&own, address_is4(&own));
}

static __always_inline struct loopback_target *find_target(struct loopback_port *asked)
{
	struct loopback_target *target = bpf_map_lookup_elem(&loopback_ports, asked);
	struct loopback_port any = {
		.port = asked->port,
		.protocol = asked->protocol,
		.family = asked->family,
	};

	return target ? target : bpf_map_lookup_elem(&loopback_ports, &any);
}

static __always_inline void set_mark(struct bpf_sock_addr *ctx, __u32 mark)
{
	bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
}

/* A socket that goes elsewhere now loses the mark that we gave it. */
static __always_inline int leave_alone(struct bpf_sock_addr *ctx, struct bpf_sock *sk)
{
	struct socket_state *state = bpf_sk_storage_get(&socket_states, sk, 0, 0);

	if (state && state->mark) {
		if (sk->mark == state->mark)
			set_mark(ctx, state->former_mark);
		state->mark = 0;
	}
	return 1;
}

static __always_inline void remember(struct socket_state *state, const struct loopback_port *asked,
				     const struct loopback_target *target)
{
	__u32 row = state->next % MEMORIES;
	struct memory *memory;

#pragma unroll
	for (__u32 i = 0; i < MEMORIES; i++) {
		memory = &state->memories[i];
		if (memory->target_port == target->port && address_equal(&memory->target, &target->address))
			row = i;
	}
	if (row == state->next % MEMORIES)
		state->next = row + 1;
	memory = &state->memories[row & (MEMORIES - 1)];
	memory->target = target->address;
	memory->target_port = target->port;
	memory->asked = asked->address;
	memory->asked_port = asked->port;
}

/* A socket is about to connect, or to send without having connected. */
static __always_inline int turn(struct bpf_sock_addr *ctx, bool ipv4, bool connects)
{
	struct loopback_target *target;
	struct loopback_port asked = {};
	struct socket_state *state;
	struct bpf_sock *sk = ctx->sk;
	__u64 netns;
	__u32 have, want;
	bool asked4;

	if (!sk)
		return 1;
	read_context(ctx, ipv4, &asked.address);
	asked4 = ipv4 || address_is4(&asked.address);
	if (!address_loopback(&asked.address, asked4) || (ctx->protocol != TCP && ctx->protocol != UDP))
		return leave_alone(ctx, sk);
	netns = bpf_get_netns_cookie(ctx);
	if (!bpf_map_lookup_elem(&host_netns, &netns))
		return 1;
	asked.port = ctx->user_port;
	asked.protocol = ctx->protocol;
	asked.family = asked4 ? 4 : 6;
	target = find_target(&asked);
	if (!target || bound_to_loopback(sk))
		return leave_alone(ctx, sk);
	/* IPv4 sockets reach IPv4 only; IPv6 ones reach it when they connect. */
	if (address_is4(&target->address) ? !ipv4 && !connects : ipv4)
		return leave_alone(ctx, sk);
	state = bpf_sk_storage_get(&socket_states, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state)
		return 1;
	/* Read once: a choice between addresses, of which one is in the socket, the verifier refuses. */
	have = *(volatile __u32 *)&sk->mark;
	want = target->mark;
	if (!want)
		want = state->mark ? state->former_mark : have;
	if (want != have) {
		if (!state->mark)
			state->former_mark = have;
		state->mark = target->mark;
		set_mark(ctx, want);
		/*
		 * A datagram's mark was taken from the socket before we were asked. It must not go under the wrong one,
		 * into another network that has the same addresses: it stays here, the next one goes.
		 */
		if (!connects)
			return 1;
	}
	remember(state, &asked, target);
	write_context(ctx, ipv4, &target->address, target->port);
	return 1;
}

/* A socket asks whom it talks to, or who sent a datagram: it hears what it asked for. */
static __always_inline int restore(struct bpf_sock_addr *ctx, bool ipv4)
{
	struct socket_state *state;
	struct bpf_sock *sk = ctx->sk;
	struct address target;

	if (!sk)
		return 1;
	state = bpf_sk_storage_get(&socket_states, sk, 0, 0);
	if (!state)
		return 1;
	read_context(ctx, ipv4, &target);
#pragma unroll
	for (__u32 i = 0; i < MEMORIES; i++) {
		struct memory *memory = &state->memories[i];

		if (memory->target_port == (__be16)ctx->user_port &&
		    address_equal(&memory->target, &target)) {
			write_context(ctx, ipv4, &memory->asked, memory->asked_port);
			return 1;
		}
	}
	return 1;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return turn(ctx, true, true);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return turn(ctx, false, true);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return turn(ctx, true, false);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return turn(ctx, false, false);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	return restore(ctx, true);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	return restore(ctx, false);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return restore(ctx, true);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return restore(ctx, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
