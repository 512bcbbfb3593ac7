/**
 * The shell script that turns a fresh network and mount namespace into a host: its own /run, bpffs and sysfs,
 * its own Carrick directories, and private copies of /etc, /opt, /var/lib, /var/cache and of where plug-ins of
 * runtimes lie on an overlay, so that nothing written there reaches the machine. It runs once, as the first
 * process of the namespaces.
 *
 * Mounts below /run and /var/lib are let go first: a copy kept here would hold other labs' namespaces and the
 * machine's containers after their end.
 */

/**
 * Settings of every network namespace of a lab. Addresses work at once (no duplicate detection),
 * bridged packets meet no iptables, and congestion control is one that does not pace: cubic, or reno
 * where the machine reserves cubic for its own namespace (net.ipv4.tcp_allowed_congestion_control).
 */
export const NAMESPACE_SETTINGS = `
put() { [ ! -e "$1" ] || echo "$2" > "$1"; }
net=/proc/sys/net
for which in all default; do
  put $net/ipv6/conf/$which/accept_dad 0
  put $net/ipv6/conf/$which/dad_transmits 0
  put $net/ipv6/conf/$which/accept_ra 0
done
put $net/ipv4/tcp_congestion_control cubic 2> /dev/null || put $net/ipv4/tcp_congestion_control reno
put $net/bridge/bridge-nf-call-iptables 0
put $net/bridge/bridge-nf-call-ip6tables 0
put $net/bridge/bridge-nf-call-arptables 0
put $net/ipv4/ping_group_range '0 2147483647'
`

/** Arguments: the host's directory as seen from outside, its name, a machine id of its own. */
export const HOST_SCRIPT = `set -eu
own=$1
hostname "$2"
release() {
  while read -r _ _ _ _ point _; do
    case $point in "$1"/*) echo "$point" ;; esac
  done < /proc/self/mountinfo | sort -r | while read -r point; do
    # What its owner deletes meanwhile goes by itself.
    umount -l "$point" 2> /dev/null || ! mountpoint -q "$point"
  done
}
overlay() {
  [ -d "$1" ] || return 0
  layer=$own/layers$1
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work" "$1"
}
private() {
  mkdir -p "$own/$1" "$2"
  mount --bind "$own/$1" "$2"
}
release /var/lib
overlay /etc
overlay /var/lib
overlay /var/cache
overlay /opt
overlay /usr/libexec
overlay /usr/lib/cni
private etc /etc/carrick
private lib /var/lib/carrick
private cache /var/cache/carrick
rm -f /etc/machine-id
echo "$3" > /etc/machine-id
echo "$2" > /etc/hostname
mkdir -p "$own/sys"
mount -t sysfs sysfs "$own/sys"
[ ! -d /sys/fs/cgroup ] || mount --rbind /sys/fs/cgroup "$own/sys/fs/cgroup"
mount -t bpf bpf "$own/sys/fs/bpf"
mount -n --move "$own/sys" /sys
mount --bind "$own/run" /mnt
release /run
mount -n --move /mnt /run
mkdir -p /run/netns
${NAMESPACE_SETTINGS}`

/** Arguments: none. */
export const SWITCH_SCRIPT = `set -eu
${NAMESPACE_SETTINGS}
put $net/ipv4/ip_forward 1
put $net/ipv6/conf/all/forwarding 1`

/**
 * Makes containers, which are network namespaces and nothing else, and shows each to its host under
 * /run/netns. Arguments: the directory of pins, the host's mount namespace, then the containers' names.
 */
export const CONTAINERS_SCRIPT = `set -eu
pins=$1 host=$2
shift 2
for name in "$@"; do
  : > "$pins/$name"
  unshare "--net=$pins/$name" sh -c "$CONTAINER" sh "$host" "$name"
done`

/** First process of a container; handed to CONTAINERS_SCRIPT as the variable CONTAINER. */
export const CONTAINER_SCRIPT = `set -eu
${NAMESPACE_SETTINGS}
exec nsenter "--mount=$1" sh -ec ': > "/run/netns/$1"; mount --bind /proc/self/ns/net "/run/netns/$1"' sh "$2"`
