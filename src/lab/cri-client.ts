/**
 * The few calls of Kubernetes' container runtime interface that make and end a pod's sandbox, over containerd's
 * socket. Messages are written by hand: they are small, and the interface has hundreds that no test needs.
 * Field numbers: k8s.io/cri-api pkg/apis/runtime/v1/api.proto.
 */

import { type ClientHttp2Session, connect } from 'node:http2'
import { createConnection } from 'node:net'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'

const SERVICE = '/runtime.v1.RuntimeService'
const TIMEOUT_MS = 30_000
/** Length of gRPC's header before each message: a flag and four bytes of length. */
const HEADER_BYTES = 5
const PROTOCOLS = { tcp: 0, udp: 1, sctp: 2 } as const

export interface PodPort {
  readonly protocol: keyof typeof PROTOCOLS
  readonly containerPort: number
  readonly hostPort: number
  readonly hostIp?: string
}

export interface PodConfig {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  /** Group below which the runtime makes the pod's own. */
  readonly cgroupParent: string
  readonly dns?: {
    readonly servers: readonly string[]
    readonly searches: readonly string[]
    readonly options: readonly string[]
  }
  readonly ports?: readonly PodPort[]
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface PodStatus {
  readonly ready: boolean
  /** The first address and the additional ones, in the order the runtime tells them. */
  readonly addresses: readonly string[]
}

export class CriClient implements Disposable {
  readonly #session: ClientHttp2Session

  constructor(socketPath: string) {
    this.#session = connect('http://localhost', {
      createConnection: () => createConnection(socketPath),
    })
    // A call in flight fails with its stream, which tells its caller.
    this.#session.on('error', () => this.#session.destroy())
  }

  /** Makes a sandbox with its network; its id. */
  async runPodSandbox(config: PodConfig): Promise<string> {
    const request = message((writer) => nested(writer, 1, (pod) => writeConfig(pod, config)))
    return textField(await this.#call('RunPodSandbox', request), 1)
  }

  async stopPodSandbox(id: string): Promise<void> {
    await this.#call('StopPodSandbox', text(id))
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.#call('RemovePodSandbox', text(id))
  }

  async podSandboxStatus(id: string): Promise<PodStatus> {
    const [status = new Uint8Array()] = fields(await this.#call('PodSandboxStatus', text(id)), 1)
    const addresses = fields(status, 5).flatMap((network) => [
      textField(network, 1),
      ...fields(network, 2).map((address) => textField(address, 1)),
    ])
    // SANDBOX_READY is 0, which is left out.
    return { ready: !hasField(status, 3), addresses: addresses.filter(Boolean) }
  }

  [Symbol.dispose](): void {
    this.#session.close()
  }

  #call(method: string, body: Uint8Array): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': `${SERVICE}/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.setTimeout(TIMEOUT_MS, () => stream.destroy(new Error(`${method}: no answer in time`)))
    const chunks: Buffer[] = []
    let status: string | undefined
    let said = ''
    const note = (headers: Readonly<Record<string, string | string[] | undefined>>) => {
      status = headers['grpc-status']?.toString() ?? status
      said = headers['grpc-message']?.toString() ?? said
    }
    // A refusal comes with the first headers, when nothing else follows.
    stream.on('response', note)
    stream.on('trailers', note)
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('end', () => {
      if (status === '0') resolve(Buffer.concat(chunks).subarray(HEADER_BYTES))
      else reject(new Error(`${method}: status ${status}: ${decodeURIComponent(said)}`))
    })
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32BE(body.length, 1)
    stream.end(Buffer.concat([header, body]))
    return promise
  }
}

function writeConfig(writer: BinaryWriter, config: PodConfig): void {
  nested(writer, 1, (metadata) => {
    metadata.uint32(tag(1)).string(config.name)
    metadata.uint32(tag(2)).string(config.uid)
    metadata.uint32(tag(3)).string(config.namespace)
  })
  writer.uint32(tag(2)).string(config.name)
  const { dns } = config
  if (dns !== undefined) {
    nested(writer, 4, (written) => {
      for (const server of dns.servers) written.uint32(tag(1)).string(server)
      for (const search of dns.searches) written.uint32(tag(2)).string(search)
      for (const option of dns.options) written.uint32(tag(3)).string(option)
    })
  }
  for (const port of config.ports ?? []) {
    nested(writer, 5, (written) => {
      written.uint32(tag(1, 0)).int32(PROTOCOLS[port.protocol])
      written.uint32(tag(2, 0)).int32(port.containerPort)
      written.uint32(tag(3, 0)).int32(port.hostPort)
      written.uint32(tag(4)).string(port.hostIp ?? '')
    })
  }
  for (const [field, map] of [
    [6, config.labels],
    [7, config.annotations],
  ] as const) {
    for (const [key, value] of Object.entries(map ?? {})) {
      nested(writer, field, (entry) => {
        entry.uint32(tag(1)).string(key)
        entry.uint32(tag(2)).string(value)
      })
    }
  }
  nested(writer, 8, (linux) => linux.uint32(tag(1)).string(config.cgroupParent))
}

/** A field's number and wire type in one: 2 is a length and bytes, 0 a number. */
function tag(field: number, wireType = 2): number {
  return (field << 3) | wireType
}

function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter()
  write(writer)
  return writer.finish()
}

function nested(
  writer: BinaryWriter,
  field: number,
  write: (writer: BinaryWriter) => unknown,
): void {
  writer.uint32(tag(field)).fork()
  write(writer)
  writer.join()
}

/** A request that has one text as its first field. */
function text(value: string): Uint8Array {
  return message((writer) => writer.uint32(tag(1)).string(value))
}

/** Every value of a field that has bytes. */
function fields(bytes: Uint8Array, wanted: number): readonly Uint8Array[] {
  const reader = new BinaryReader(bytes)
  const found: Uint8Array[] = []
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === wanted && wireType === 2) found.push(reader.bytes())
    else reader.skip(wireType, field)
  }
  return found
}

function textField(bytes: Uint8Array, field: number): string {
  return Buffer.from(fields(bytes, field)[0] ?? []).toString()
}

function hasField(bytes: Uint8Array, wanted: number): boolean {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === wanted) return true
    reader.skip(wireType, field)
  }
  return false
}
