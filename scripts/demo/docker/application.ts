/**
 * The application that runs across both engines, as a Compose file per host. Where no Compose is installed the same
 * containers are started one by one, with the labels that Compose would give them.
 */

import { writeFileSync } from 'node:fs'
import { type DockerEngine, IMAGE } from '../../../src/lab/docker-engine.ts'
import type { Lab } from '../../../src/lab/lab.ts'

export const PROJECT = 'shop'
export const NETWORK = 'blue'
const FILE = '/run/shop.yaml'
const ENGINE = 'DOCKER_HOST=unix:///run/docker.sock'

/** What one service says over HTTP at port 80. */
export interface Service {
  readonly name: string
  readonly says: string
  /** As `docker run -p` takes it. */
  readonly port?: string
}

export type Tool = 'docker compose' | 'docker-compose' | 'docker run'

/** The Compose that is installed. */
export async function findTool(lab: Lab, host: string): Promise<Tool> {
  for (const tool of ['docker compose', 'docker-compose'] as const) {
    const argv = ['sh', '-c', `${tool} version`]
    if ((await lab.run(host, argv)).exitCode === 0) return tool
  }
  return 'docker run'
}

/** Starts a host's services and gives the words that did it. */
export async function bringUp(
  lab: Lab,
  engine: DockerEngine,
  tool: Tool,
  services: readonly Service[],
): Promise<readonly string[]> {
  if (tool === 'docker run') {
    for (const service of services) await engine.docker(...runOf(service))
    return services.map((service) => `docker ${runOf(service).slice(0, -3).join(' ')} …`)
  }
  writeFileSync(lab.outside(engine.host, FILE), composeFile(services))
  await compose(lab, engine, tool, 'up -d')
  return [`${tool} -p ${PROJECT} up -d`]
}

/** Ends a host's services. */
export async function takeDown(
  lab: Lab,
  engine: DockerEngine,
  tool: Tool,
  services: readonly Service[],
): Promise<void> {
  if (tool === 'docker run') await engine.docker('rm', '-f', ...services.map(containerOf))
  else await compose(lab, engine, tool, 'down -t 1')
}

/** Name of the one container of a service, as the tool gives it. */
export async function nameOf(engine: DockerEngine, service: string): Promise<string> {
  const label = `label=com.docker.compose.service=${service}`
  const name = await engine.docker('ps', '-a', '--filter', label, '--format', '{{.Names}}')
  if (name === '') throw new Error(`service ${service} has no container on ${engine.host}`)
  return name
}

async function compose(lab: Lab, engine: DockerEngine, tool: Tool, verb: string): Promise<void> {
  const script = `${ENGINE} ${tool} -f ${FILE} -p ${PROJECT} ${verb}`
  const { exitCode, stderr } = await lab.run(engine.host, ['sh', '-c', script])
  if (exitCode !== 0) throw new Error(`${tool} ${verb} on ${engine.host}: ${stderr.trim()}`)
}

/** The network is there already: one of the two engines made it, or we did. */
function composeFile(services: readonly Service[]): string {
  const each = services.flatMap(({ name, says, port }) => [
    `  ${name}:`,
    `    image: ${IMAGE}`,
    `    command: ["sh", "-c", "${scriptOf(says)}"]`,
    '    restart: always',
    '    stop_grace_period: 1s',
    `    networks: [${NETWORK}]`,
    ...(port === undefined ? [] : [`    ports: ["${port}"]`]),
  ])
  return [
    'version: "3.5"',
    'services:',
    ...each,
    'networks:',
    `  ${NETWORK}:`,
    '    external: true',
    '',
  ].join('\n')
}

function runOf({ name, says, port }: Service): readonly string[] {
  return [
    ...['run', '-d', '--name', containerOf({ name }), '--restart', 'always', '--network', NETWORK],
    ...['--network-alias', name, '--label', `com.docker.compose.project=${PROJECT}`],
    ...['--label', `com.docker.compose.service=${name}`],
    ...(port === undefined ? [] : ['-p', port]),
    ...[IMAGE, 'sh', '-c', scriptOf(says)],
  ]
}

function containerOf({ name }: Pick<Service, 'name'>): string {
  return `${PROJECT}_${name}_1`
}

function scriptOf(says: string): string {
  return `mkdir -p /www && echo '${says}' > /www/index.html && exec httpd -f -p 80 -h /www`
}
