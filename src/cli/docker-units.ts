/**
 * The units by which the service manager starts Carrick before Docker. Where a package brought them, that one's
 * stay; else they are written for this machine, with a mark by which they are found again.
 */

import carrickService from '../../packaging/systemd/carrick.service' with { type: 'text' }
import carrickSocket from '../../packaging/systemd/carrick.socket' with { type: 'text' }
import dockerSocket from '../../packaging/systemd/carrick-docker.socket' with { type: 'text' }

/** Names as systemctl takes them, sockets first: what they start comes after them. */
export const UNITS = ['carrick.socket', 'carrick-docker.socket', 'carrick.service'] as const
export type UnitName = (typeof UNITS)[number]

const TEXTS: Readonly<Record<UnitName, string>> = {
  'carrick.socket': carrickSocket,
  'carrick-docker.socket': dockerSocket,
  'carrick.service': carrickService,
}
const MARK = '# Written by `carrick docker install`; `carrick docker uninstall` removes it.\n'
/** The program as packages install it. */
const PACKAGED = '/usr/bin/carrick'

/** The text of a unit that starts `executable`, an absolute path. */
export function unitText(name: UnitName, executable: string): string {
  return `${MARK}${TEXTS[name].replace(`ExecStart=${PACKAGED} `, () => `ExecStart=${quoted(executable)} `)}`
}

/** True for a unit that `unitText` gave, whatever was changed in it since. */
export function isOurs(text: string): boolean {
  return text.startsWith(MARK)
}

/** As a command line of a unit wants it: a percent sign or a dollar means something there. systemd.service(5) */
function quoted(path: string): string {
  const plain = path.replaceAll('%', '%%').replaceAll('$', () => '$$')
  return /^[\w/.+-]+$/.test(plain) ? plain : `"${plain.replaceAll(/["\\]/g, '\\$&')}"`
}
