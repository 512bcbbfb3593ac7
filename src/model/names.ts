/** What a name, a label and an interface name may be. Conventions §3; linux/if.h IFNAMSIZ. */

/** Networks, hosts and endpoints: lower case, digits and inner dashes, at most 63 characters. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

export function isName(text: string): boolean {
  return NAME_PATTERN.test(text)
}

/** Why `text` cannot name an interface, or undefined when it can: net/core/dev.c dev_valid_name(). */
export function interfaceNameProblem(text: string): string | undefined {
  if (text === '') return 'it is empty'
  if (new TextEncoder().encode(text).length > 15) return 'it is longer than 15 bytes'
  if (text === '.' || text === '..') return 'it is a directory name'
  if (/[/:\s\0]/.test(text)) return 'it contains a slash, a colon or white space'
  return undefined
}

/** Why the label cannot be set, or undefined when it can. */
export function labelProblem(key: string, value: string): string | undefined {
  if (
    !/^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(
      key,
    )
  ) {
    return `"${key}" is not a label key: letters, digits, dots, dashes and underscores, at most 63, optionally after prefix/`
  }
  if (key.startsWith('carrick/'))
    return `"${key}" is reserved: keys under carrick/ are set by carrick`
  if (value.length > 255) return `the value of "${key}" is longer than 255 characters`
  return undefined
}
