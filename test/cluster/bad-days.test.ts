/**
 * What may befall a host: a daemon that cannot start says why, with the documented exit code, and changes
 * nothing; one that runs goes on. Each start that is refused is tried again once the cause is gone.
 */

import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { RunResult } from '../../src/lab/processes.ts'
import { createAuthority } from '../../src/pki/certificates.ts'
import { assertRefused, createNetwork, sharedCluster, shell } from './harness.ts'
import { assertKernelIsModel, assertKernelKeeps, restingKernel } from './kernel-dump.ts'
import { carries } from './traffic.ts'

const INVALID = 2
const STATE = 4
const NOT_PERMITTED = 5
const NOT_REACHABLE = 6
const NOBODY = 65_534

const withTwoHosts = sharedCluster({ hosts: 2 })

withTwoHosts('a second daemon on the same state directory is refused', async (cluster) => {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
  const before = await restingKernel(cluster, 'h1')
  assertRefused(await daemon(cluster, 'h1'), STATE, '/run/carrick/carrick.sock')
  const apart = [
    '--socket',
    '/run/carrick/other.sock',
    '--listen',
    ':7450',
    '--join-listen',
    ':7451',
  ]
  assertRefused(
    await daemon(cluster, 'h1', ...apart),
    STATE,
    'a second daemon',
    '/var/lib/carrick/state/journal.db',
  )
  await cluster.settled('h1')
  await assertKernelKeeps(cluster, 'h1', before)
})

for (const { file, of, damaged } of [
  { file: 'state/journal.db', of: 'the journal', damaged: INVALID },
  { file: 'store/store.db', of: 'the store', damaged: STATE },
]) {
  withTwoHosts(`${of} of a newer schema is refused and left as it is`, async (cluster) => {
    await whileStopped(cluster, 'h1', async (path) => {
      await changing(
        path(file),
        (copy) => {
          using db = new DatabaseSync(copy)
          db.exec('PRAGMA user_version = 99')
        },
        async () => {
          const before = readFileSync(path(file))
          assertRefused(await daemon(cluster, 'h1'), INVALID, `/var/lib/carrick/${file}`, '99')
          assert.ok(before.equals(readFileSync(path(file))))
        },
      )
    })
  })

  withTwoHosts(`${of}, truncated, is refused and left as it is`, async (cluster) => {
    await whileStopped(cluster, 'h1', async (path) => {
      for (const part of [0.4, 0.9]) {
        await changing(
          path(file),
          (copy) => truncateSync(copy, Math.floor(statSync(copy).size * part)),
          async () => {
            assertRefused(
              await daemon(cluster, 'h1'),
              damaged,
              `/var/lib/carrick/${file}`,
              'damaged',
            )
          },
        )
      }
      await changing(
        path(file),
        (copy) => writeFileSync(copy, 'no database'),
        async () => {
          assertRefused(await daemon(cluster, 'h1'), damaged, `/var/lib/carrick/${file}`)
        },
      )
    })
  })
}

withTwoHosts(
  'a membership of a newer schema, and one that is no JSON, are refused',
  async (cluster) => {
    await whileStopped(cluster, 'h2', async (path) => {
      const file = path('cluster.json')
      for (const { text, words } of [
        { text: '{"schema":99}\n', words: ['99'] },
        { text: '{"schema":1,"ho', words: [] },
      ]) {
        await changing(
          file,
          (copy) => writeFileSync(copy, text),
          async () => {
            const refused = await daemon(cluster, 'h2')
            assertRefused(refused, INVALID, '/var/lib/carrick/cluster.json', ...words)
          },
        )
      }
    })
  },
)

for (const { host, directory, holder } of [
  { host: 'h1', directory: 'tls', holder: 'ca' },
  { host: 'h2', directory: 'tls/joined', holder: 'host' },
]) {
  withTwoHosts(`an expired certificate of ${holder} is refused with its date`, async (cluster) => {
    const expired = await createAuthority(new Date('2001-02-03T04:05:06Z'))
    await whileStopped(cluster, host, async (path) => {
      const file = `${directory}/${holder}.pem`
      await changing(
        path(file),
        (copy) => writeFileSync(copy, expired.certificate),
        async () => {
          const refused = await daemon(cluster, host)
          assertRefused(refused, NOT_PERMITTED, `/var/lib/carrick/${file}`, 'expired', /20\d\d-/)
        },
      )
    })
  })
}

withTwoHosts('a full disk refuses an attach whole, and a start', async (cluster) => {
  try {
    await fillTheDisk(cluster)
  } finally {
    await cluster.endDaemon('h1', 'SIGTERM')
    await shell(cluster, 'h1', 'umount /run/small')
    cluster.startDaemon('h1')
    await cluster.settled('h1')
  }
  await assertKernelIsModel(cluster, 'h1')
})

async function fillTheDisk(cluster: Cluster): Promise<void> {
  const [one, two] = await cluster.lab.containers('h1', ['one', 'two'])
  assert.ok(one !== undefined && two !== undefined)
  await cluster.endDaemon('h1', 'SIGTERM')
  await shell(
    cluster,
    'h1',
    `mkdir -p /run/small && mount -t tmpfs -o size=2m tmpfs /run/small && cp -a /var/lib/carrick/. /run/small/`,
  )
  const options = { args: ['--state-dir', '/run/small'] }
  cluster.startDaemon('h1', options)
  await cluster.settled('h1')
  const a = await cluster.attachContainer('blue', one)
  await shell(cluster, 'h1', 'dd if=/dev/zero of=/run/small/fill bs=4k 2>/dev/null || true')
  let refused: RunResult | undefined
  // SQLite has some room of its own in the journal's file; when that is used up, nothing more fits.
  for (let tries = 0; tries < 200 && refused === undefined; tries++) {
    const result = await cluster.run(
      'h1',
      ...['attach', 'blue', '--netns', two.netns, '--name', 'two'],
    )
    if (result.exitCode !== 0) refused = result
    else if ((await cluster.run('h1', 'detach', 'two')).exitCode !== 0) break
  }
  assert.ok(refused !== undefined)
  assertRefused(refused, STATE, 'disk is full')
  assert.notEqual((await cluster.run('h1', 'endpoint', 'get', 'two')).exitCode, 0)
  await assertKernelIsModel(cluster, 'h1')
  await cluster.endDaemon('h1', 'SIGTERM')
  await shell(cluster, 'h1', 'dd if=/dev/zero of=/run/small/fill2 bs=1k 2>/dev/null || true')
  assertRefused(await daemon(cluster, 'h1', ...options.args), STATE, 'disk is full')
  await shell(cluster, 'h1', 'rm -f /run/small/fill /run/small/fill2')
  cluster.startDaemon('h1', options)
  await cluster.settled('h1')
  const b = await cluster.attachContainer('blue', two)
  assert.ok(carries(a, b))
  for (const name of ['one', 'two']) await cluster.carrick('h1', 'detach', name)
}

withTwoHosts('without bpffs, or where nothing may be pinned, no daemon starts', async (cluster) => {
  await whileStopped(cluster, 'h2', async () => {
    const elsewhere = await daemon(cluster, 'h2', '--bpf-dir', '/run/no-bpffs')
    assertRefused(elsewhere, INVALID, '/run/no-bpffs', 'bpffs', 'mount -t bpf')
    await shell(cluster, 'h2', 'mount -o remount,ro /sys/fs/bpf')
    try {
      const dir = ['--bpf-dir', '/sys/fs/bpf/other']
      assertRefused(await daemon(cluster, 'h2', ...dir), NOT_PERMITTED, '/sys/fs/bpf/other')
    } finally {
      await shell(cluster, 'h2', 'mount -o remount,rw /sys/fs/bpf')
    }
  })
})

withTwoHosts(
  'who is not root runs no daemon, and asks one only as a member of its group',
  async (cluster) => {
    const as = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
    const { lab, executable } = cluster
    // The executable may lie where nobody may look; its copy in the host's /run may be read by all.
    copyFileSync(executable, lab.outside('h1', '/run/carrick-copy'))
    await shell(cluster, 'h1', 'chmod 0755 /run/carrick-copy')
    const run = (...args: readonly string[]): Promise<RunResult> =>
      lab.run('h1', [...as, '/run/carrick-copy', ...args])
    assertRefused(await run('daemon'), NOT_PERMITTED, 'root')
    assertRefused(await run('status'), NOT_PERMITTED, '/run/carrick/carrick.sock')
    assertRefused(await run('network', 'rm', 'blue'), NOT_PERMITTED)
    assert.equal((await cluster.run('h1', 'network', 'get', 'blue')).exitCode, 0)
  },
)

withTwoHosts('a command without a daemon says where it looked', async (cluster) => {
  await whileStopped(cluster, 'h2', async () => {
    assertRefused(await cluster.run('h2', 'status'), NOT_REACHABLE, '/run/carrick/carrick.sock')
  })
})

withTwoHosts(
  'settings that are wrong are named, and an underlay that is not there',
  async (cluster) => {
    await whileStopped(cluster, 'h2', async () => {
      const file = cluster.lab.outside('h2', '/etc/carrick/carrick.yaml')
      writeFileSync(file, 'vxlanPrt: 4789\n')
      assertRefused(await daemon(cluster, 'h2'), INVALID, 'vxlanPrt', 'vxlanPort', 'carrick.yaml')
      writeFileSync(file, 'vxlanPort: many\n')
      assertRefused(await daemon(cluster, 'h2'), INVALID, 'vxlanPort', 'number', 'carrick.yaml')
      rmSync(file)
      assertRefused(
        await daemon(cluster, 'h2', '--underlay-addresses', '192.0.2.77'),
        3,
        '192.0.2.77',
      )
      assertRefused(
        await daemon(cluster, 'h2', '--store', 'etcd:/x'),
        INVALID,
        '--store',
        'etcd://HOST:PORT',
      )
    })
  },
)

withTwoHosts('a port that somebody else has is named', async (cluster) => {
  await whileStopped(cluster, 'h1', async () => {
    const taken = cluster.lab.spawn('h1', [process.execPath, '-e', LISTENER], { stdio: 'pipe' })
    await new Promise((resolve) => taken.stdout?.once('data', resolve))
    try {
      assertRefused(await daemon(cluster, 'h1'), NOT_REACHABLE, '7440')
    } finally {
      taken.kill('SIGKILL')
    }
  })
})

const LISTENER = "require('net').createServer().listen(7440, '::', () => console.log('listening'))"

/** Runs the daemon of a host that cannot start; its end comes soon, or the test fails. */
function daemon(cluster: Cluster, host: string, ...args: readonly string[]): Promise<RunResult> {
  return cluster.lab.run(host, [cluster.executable, 'daemon', ...args], { timeoutMs: 10_000 })
}

/** Stops the host's daemon for the time of the work; afterwards it starts and is as before. */
async function whileStopped(
  cluster: Cluster,
  host: string,
  work: (path: (file: string) => string) => Promise<void>,
): Promise<void> {
  const before = await restingKernel(cluster, host)
  await cluster.endDaemon(host, 'SIGTERM')
  await work((file) => cluster.lab.outside(host, `/var/lib/carrick/${file}`))
  await assertKernelKeeps(cluster, host, before)
  cluster.startDaemon(host)
  await cluster.settled(host)
  await assertKernelKeeps(cluster, host, before)
}

/** Changes a file for the time of the work. */
async function changing(
  file: string,
  change: (file: string) => void,
  work: () => Promise<void>,
): Promise<void> {
  const kept = `${file}.kept`
  copyFileSync(file, kept)
  change(file)
  try {
    await work()
  } finally {
    for (const rest of ['-wal', '-shm']) rmSync(`${file}${rest}`, { force: true })
    copyFileSync(kept, file)
    rmSync(kept)
  }
}
