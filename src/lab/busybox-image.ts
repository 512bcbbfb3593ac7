/**
 * The one image of podman and containerd in a lab: busybox and nothing else, written as an OCI archive without
 * asking anybody. It has a command that stays, so that it serves as the sandbox of a pod too.
 * https://github.com/opencontainers/image-spec/blob/v1.0.2/image-layout.md
 */

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NetworkError } from '../lib/errors.ts'
import type { Lab } from './lab.ts'

/** Static, so that an image needs nothing else. Debian's busybox-static. */
export const BUSYBOX = '/bin/busybox'
/** As `podman run` and `ctr run` take it. */
export const IMAGE = 'localhost/busybox:latest'
const WORK = '/run/oci-image'
const ARCHIVE = '/run/oci-image.tar'
const APPEARANCE = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' }

/** Writes the archive on a host, once; its path as the host sees it. */
export async function writeImage(lab: Lab, host: string): Promise<string> {
  const outside = (path: string) => lab.outside(host, path)
  if (statSync(outside(ARCHIVE), { throwIfNoEntry: false }) !== undefined) return ARCHIVE
  const work = outside(WORK)
  for (const directory of ['root/bin', 'root/tmp', 'root/etc', 'root/www', 'oci/blobs/sha256']) {
    mkdirSync(join(work, directory), { recursive: true })
  }
  await shell(
    lab,
    host,
    `cp ${BUSYBOX} ${WORK}/root/bin/busybox
chroot ${WORK}/root /bin/busybox --install -s /bin
tar -C ${WORK}/root -cf ${WORK}/layer.tar .`,
  )
  const oci = join(work, 'oci')
  const layer = readFileSync(join(work, 'layer.tar'))
  const layerBlob = blob(oci, 'application/vnd.oci.image.layer.v1.tar', layer)
  const config = {
    ...APPEARANCE,
    config: { Env: ['PATH=/bin'], Cmd: ['sleep', '100000'] },
    rootfs: { type: 'layers', diff_ids: [layerBlob.digest] },
  }
  const configBlob = blob(oci, 'application/vnd.oci.image.config.v1+json', json(config))
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = { schemaVersion: 2, mediaType, config: configBlob, layers: [layerBlob] }
  const annotations = {
    'io.containerd.image.name': IMAGE,
    'org.opencontainers.image.ref.name': IMAGE,
  }
  const manifestBlob = { ...blob(oci, mediaType, json(manifest)), platform: APPEARANCE }
  const index = { schemaVersion: 2, manifests: [{ ...manifestBlob, annotations }] }
  writeFileSync(join(oci, 'index.json'), json(index))
  writeFileSync(join(oci, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
  await shell(lab, host, `tar -C ${WORK}/oci -cf ${WORK}/image.tar .`)
  renameSync(join(work, 'image.tar'), outside(ARCHIVE))
  rmSync(work, { recursive: true })
  return ARCHIVE
}

interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

function blob(oci: string, mediaType: string, bytes: Buffer): Blob {
  const hash = createHash('sha256').update(bytes).digest('hex')
  writeFileSync(join(oci, 'blobs', 'sha256', hash), bytes)
  return { mediaType, digest: `sha256:${hash}`, size: bytes.length }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

async function shell(lab: Lab, host: string, script: string): Promise<void> {
  const { stderr, exitCode } = await lab.run(host, ['sh', '-ec', script])
  if (exitCode === 0) return
  throw new NetworkError('kernel', `Cannot write the image on ${host}: ${stderr.trim()}`)
}
