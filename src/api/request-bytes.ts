/** A request's body, up to a bound: whether its length is told before or it comes in chunks. */

/** Undefined for one of more than `mostBytes`. */
export async function readBytes(
  request: Request,
  mostBytes: number,
): Promise<Uint8Array | undefined> {
  const told = request.headers.get('content-length')
  if (Number(told ?? 0) > mostBytes) return undefined
  if (told !== null) return await request.bytes()
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of request.body ?? []) {
    size += part.byteLength
    if (size > mostBytes) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts)
}
