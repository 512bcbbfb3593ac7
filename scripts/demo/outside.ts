/**
 * The world outside: a container calls a plain process on another host, and published ports bring plain
 * processes to a container, in both families; every server tells whom it saw.
 */

import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { runClient, serveOnHost } from './containers.ts'
import { PORTS } from './ports.ts'
import type { Story } from './story.ts'

const PUBLISHED = 8080

/** Whom the server said it saw, for one way that was tried. */
export interface OutsideFact {
  readonly what: string
  readonly ok: boolean
  readonly server: string | undefined
  readonly clientSeen: string | undefined
}

interface Answer {
  readonly name: string
  readonly client: string
}

/** `inside` lives on h1 and serves; h3 plays the machine outside. */
export async function showOutside(
  cluster: Cluster,
  story: Story,
  inside: Container,
): Promise<readonly OutsideFact[]> {
  story.title('The world outside')
  const { lab } = cluster
  const [first4 = '', first6 = ''] = addressesOf(cluster, 'h1')
  const [third4 = '', third6 = ''] = addressesOf(cluster, 'h3')
  const facts: OutsideFact[] = []
  const attempt = async (
    what: string,
    from: Container | string,
    to: readonly [string, number],
    expected: { readonly server: string; readonly seen: string },
  ): Promise<void> => {
    const args = ['fetch', to[0], String(to[1])]
    const answer = await runClient<Answer | null>(lab, from, ...args)
    const clientSeen = answer?.client.replace('::ffff:', '')
    const ok = answer?.name === expected.server && clientSeen === expected.seen
    facts.push({ what, ok, server: answer?.name, clientSeen })
    story.check(ok, `${what}: ${answer?.name ?? 'nobody'} answered, it saw ${clientSeen ?? '-'}`)
  }

  await serveOnHost(lab, 'h3')
  story.say('h3 itself runs a server, which knows nothing of networks; a container of h1 calls it')
  for (const [here, there] of [
    [first4, third4],
    [first6, third6],
  ] as const) {
    const expected = { server: 'h3', seen: here }
    await attempt(`container to [${there}]`, inside, [there, PORTS.http], expected)
  }

  story.command(`carrick publish add ${inside.name} ${PUBLISHED}:${PORTS.http}`)
  await cluster.carrick('h1', 'publish', 'add', inside.name, `${PUBLISHED}:${PORTS.http}`)
  for (const [here, there] of [
    [first4, third4],
    [first6, third6],
  ] as const) {
    const expected = { server: inside.name, seen: there }
    await attempt(`h3 to [${here}]:${PUBLISHED}`, 'h3', [here, PUBLISHED], expected)
  }
  for (const loopback of ['127.0.0.1', '::1']) {
    const to = [loopback, PUBLISHED] as const
    const args = ['fetch', loopback, String(PUBLISHED)]
    const answer = await runClient<Answer | null>(lab, 'h1', ...args)
    const what = `h1 to its own [${to[0]}]:${to[1]}`
    const clientSeen = answer?.client.replace('::ffff:', '')
    const ok = answer?.name === inside.name
    facts.push({ what, ok, server: answer?.name, clientSeen })
    story.check(ok, `${what}: ${answer?.name ?? 'nobody'} answered`)
  }
  story.command('carrick publish ls')
  story.show(await cluster.carrick('h1', 'publish', 'ls'))
  return facts
}

function addressesOf(cluster: Cluster, host: string): readonly string[] {
  return cluster.lab.hosts.find(({ name }) => name === host)?.underlay.map(({ ip }) => ip) ?? []
}
