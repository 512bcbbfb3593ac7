/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Closed lists shared with src/hoststate/drops.ts: why a packet was dropped, and which way one went. */
#ifndef CARRICK_REASONS_H
#define CARRICK_REASONS_H

enum drop_reason {
	DROP_SPOOFED = 1,
	DROP_WRONG_HOST = 2,
	DROP_NO_ENDPOINT = 3,
	DROP_NO_ROUTE = 4,
	DROP_NO_NETWORK = 5,
	DROP_NO_CARRIER = 6,
	DROP_TOO_BIG = 7,
	DROP_MALFORMED = 8,
	DROP_IGNORED = 9,
	DROP_NOT_IP = 10,
	DROP_TAGGED = 11,
	DROP_POLICY = 12,
	DROP_CONGESTED = 13,
	DROP_FAILED = 14,
	DROP_CLOSED = 15,
};

enum traffic_path {
	PATH_LOCAL = 0,
	PATH_VXLAN_OUT = 1,
	PATH_VXLAN_IN = 2,
	PATH_DIRECT_OUT = 3,
	PATH_DIRECT_IN = 4,
	PATH_DEVICE_OUT = 5,
	PATH_DEVICE_IN = 6,
	PATH_ANSWERED = 7,
	PATH_TO_HOST = 8,
	PATH_FROM_HOST = 9,
	PATHS = 10,
};

#endif
