/** Calls of CNI without a process for each, for containers that are only to be there. */
import { request } from 'node:http'
import { CNI_PATH, type CniReply } from '../../src/cni/exchange.ts'
import type { LabContainer } from '../../src/lab/lab.ts'

export interface CallTarget {
  /** The daemon's socket, as this process sees it. */
  readonly socket: string
  readonly network: string
}

/** Port 80 of every one is published, at 30000 and its number. */
const FIRST_PORT = 30_000

export async function addAll(
  target: CallTarget,
  containers: readonly LabContainer[],
): Promise<void> {
  for (const [number, container] of containers.entries())
    await call(target, 'ADD', container, number)
}

export async function deleteAll(
  target: CallTarget,
  containers: readonly LabContainer[],
): Promise<void> {
  for (const [number, container] of containers.entries())
    await call(target, 'DEL', container, number)
}

async function call(
  { socket, network }: CallTarget,
  verb: 'ADD' | 'DEL',
  { name, netns }: LabContainer,
  number: number,
): Promise<void> {
  const portMappings = [{ hostPort: FIRST_PORT + number, containerPort: 80, protocol: 'tcp' }]
  const reply = await post(socket, {
    version: 1,
    environment: {
      ...{ CNI_COMMAND: verb, CNI_CONTAINERID: name, CNI_NETNS: netns, CNI_IFNAME: 'eth0' },
      CNI_PATH: '/opt/cni/bin',
    },
    stdin: JSON.stringify({
      ...{ cniVersion: '1.0.0', name: network, type: 'carrick' },
      ...{ capabilities: { portMappings: true }, runtimeConfig: { portMappings } },
    }),
  })
  if (reply.exit !== 0) throw new Error(`${verb} ${name}: ${reply.stdout}`)
}

function post(socketPath: string, body: unknown): Promise<CniReply> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, method: 'POST', path: CNI_PATH, headers: { host: 'carrick' } }
    const asked = request(options, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())))
    })
    asked.on('error', reject)
    asked.end(JSON.stringify(body))
  })
}
