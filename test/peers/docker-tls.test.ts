/** P12: a real engine that finds the plug-in by a `.json` file, over TCP with certificates on both sides. */

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAuthority, issueCertificate } from '../../src/pki/certificates.ts'
import { shell } from '../cluster/harness.ts'
import { assertRefused, OURS, pings, run, sharedEngines } from './docker-harness.ts'

const PORT = 7443
const TLS = '/run/carrick-plugin'
const DAEMON = [
  ...['--docker-socket', '', '--docker-listen', `127.0.0.1:${PORT}`],
  ...['--docker-ca', `${TLS}/ca.pem`, '--docker-cert', `${TLS}/server.pem`],
  ...['--docker-key', `${TLS}/server.key`],
]

const withEngine = sharedEngines({ hosts: 1 })

withEngine('P12: with a certificate everything works, without one nothing', async (stage) => {
  const { docker, cluster } = stage
  const now = new Date()
  const authority = await createAuthority(now)
  const notAfter = new Date(now.getTime() + 3_600_000)
  const directory = cluster.lab.outside('h1', TLS)
  mkdirSync(directory, { recursive: true })
  const write = (name: string, text: string): void => {
    writeFileSync(join(directory, name), text)
    chmodSync(join(directory, name), 0o600)
  }
  write('ca.pem', authority.certificate)
  for (const role of ['server', 'client'] as const) {
    const wishes = { commonName: role, ipAddresses: ['127.0.0.1'], roles: [role], notAfter }
    const { certificate, key } = await issueCertificate(authority, wishes, now)
    write(`${role}.pem`, certificate)
    write(`${role}.key`, key)
  }
  assert.equal(await cluster.endDaemon('h1', 'SIGTERM'), 0)
  cluster.startDaemon('h1', { args: DAEMON })
  await cluster.settled('h1')
  assert.equal((await shell(cluster, 'h1', 'ls /run/docker/plugins')).trim(), '')

  const addr = `https://127.0.0.1:${PORT}`
  const files = { CAFile: `${TLS}/ca.pem`, CertFile: `${TLS}/client.pem` }
  const TLSConfig = { InsecureSkipVerify: false, ...files, KeyFile: `${TLS}/client.key` }
  const plugins = '/etc/docker/plugins'
  const tell = (name: string, fields: object): Promise<string> => {
    const text = JSON.stringify({ Name: name, Addr: addr, ...fields })
    return shell(cluster, 'h1', `mkdir -p ${plugins} && echo '${text}' > ${plugins}/${name}.json`)
  }
  await tell('carrick', { TLSConfig })
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n1')
  assert.ok(await pings(docker, 'c1', 'c2'))

  const curl = (flags: string): string => `curl -s -m 5 --cacert ${TLS}/ca.pem ${flags} -X POST`
  const pair = `--cert ${TLS}/client.pem --key ${TLS}/client.key`
  const activate = `${addr}/Plugin.Activate`
  assert.match(await shell(cluster, 'h1', `${curl(pair)} ${activate}`), /NetworkDriver/)
  await assert.rejects(shell(cluster, 'h1', `${curl('')} ${activate}`))
  await tell('stranger', { TLSConfig: { InsecureSkipVerify: false, CAFile: files.CAFile } })
  await assertRefused(docker, ['network', 'create', '-d', 'stranger', 'n2'])
})
