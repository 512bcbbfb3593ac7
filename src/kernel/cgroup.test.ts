import { expect, test } from 'bun:test'
import { cgroupMounts } from './cgroup.ts'

for (const { what, line, want } of [
  {
    what: 'beside version 1',
    line: '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
    want: ['/sys/fs/cgroup/unified'],
  },
  {
    what: 'with optional fields',
    line: '30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate',
    want: ['/sys/fs/cgroup'],
  },
  {
    what: 'with a space in its path',
    line: '30 24 0:26 / /mnt/a\\040b rw - cgroup2 none rw',
    want: ['/mnt/a b'],
  },
  {
    what: 'of version 1',
    line: '40 31 0:37 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
    want: [],
  },
  {
    what: 'of a part of the tree',
    line: '30 24 0:26 /system.slice /mnt/part rw - cgroup2 none rw',
    want: [],
  },
  { what: 'of nothing', line: '', want: [] },
]) {
  test(`cgroupMounts() of a mount ${what}`, () => {
    expect(cgroupMounts(`${line}\n22 1 8:1 / / rw - ext4 /dev/sda1 rw\n`)).toEqual(want)
  })
}
