/** `carrick ipam suggest|show|check`. */

import { type Command, InvalidArgumentError } from 'commander'
import type {
  IpamCheck,
  IpamFinding,
  NetworkAddresses,
  Suggestion,
} from '../api/rest/address-schemas.ts'
import { path } from './client.ts'
import { addOutputOptions, explain, onRun, parsesPositive } from './command.ts'
import { EXIT_PROBLEM, ExitWith } from './exit.ts'
import type { Io } from './io.ts'
import { printData, type Shape } from './output.ts'

const suggestionShape: Shape<Suggestion> = {
  kind: 'Suggestion',
  id: ({ prefix }) => prefix,
  name: ({ prefix }) => prefix,
  columns: [
    { key: 'prefix', values: ({ prefix }) => [prefix] },
    { key: 'addresses', values: ({ addresses }) => [addresses], number: numberOf('addresses') },
  ],
}

/** A line of `show`: a subnet as a whole, or what one host has of it. */
interface Row {
  readonly network: string
  readonly prefix: string
  readonly holder: string
  readonly usable: string
  readonly used: string
  readonly reserved: string
  readonly free: string
}

const rowShape: Shape<Row> = {
  kind: 'AddressRow',
  id: ({ prefix }) => prefix,
  name: ({ prefix }) => prefix,
  columns: [
    { key: 'network', values: ({ network }) => [network] },
    { key: 'prefix', values: ({ prefix }) => [prefix] },
    { key: 'holder', values: ({ holder }) => [holder] },
    { key: 'usable', values: ({ usable }) => [usable], number: numberOf('usable') },
    { key: 'used', values: ({ used }) => [used], number: numberOf('used') },
    { key: 'reserved', values: ({ reserved }) => [reserved], number: numberOf('reserved') },
    { key: 'free', values: ({ free }) => [free], number: numberOf('free') },
  ],
}

const findingShape: Shape<IpamFinding> = {
  kind: 'IpamFinding',
  id: ({ object }) => object,
  name: ({ object }) => object,
  columns: [
    { key: 'finding', values: ({ kind }) => [kind] },
    {
      key: 'state',
      values: ({ repaired }) => [repaired ? 'repaired' : 'left'],
      tone: ({ repaired }) => (repaired ? 'good' : 'bad'),
    },
    { key: 'message', values: ({ message }) => [message] },
    { key: 'advice', values: ({ advice }) => (advice === undefined ? [] : [advice]) },
    { key: 'object', values: ({ object }) => [object], wide: true },
  ],
}

export function addIpamCommands(program: Command, io: Io): void {
  const ipam = explain(
    program.command('ipam'),
    'Look after addresses: free ranges, fill levels, leaks.',
    ['carrick ipam suggest', 'carrick ipam show blue', 'carrick ipam check'],
  )
  addSuggest(ipam, io)
  addShow(ipam, io)
  addCheck(ipam, io)
}

function addSuggest(ipam: Command, io: Io): void {
  onRun(
    explain(
      addOutputOptions(ipam.command('suggest'))
        .option('--size <length>', 'such as /16 (default: /16, IPv6 /48)', parsesLength)
        .option('--count <n>', 'how many (default: 1)', parsesPositive)
        .option('-6, --ipv6', 'unique local IPv6 prefixes instead of IPv4')
        .option('--shared', 'also of 100.64.0.0/10, which carriers and overlays use'),
      'Suggest private ranges that overlap no network, no route and no underlay of any host.',
      [
        'carrick ipam suggest --size /20 --count 3',
        'carrick network create blue --subnet "$(carrick ipam suggest -q)"',
      ],
      ['network create', 'ipam show'],
    ),
    io,
    async (context) => {
      const { size, count, ipv6, shared } = context.options
      const { items } = await context.client.get<{ readonly items: readonly Suggestion[] }>(
        '/v1/ipam/suggestions',
        {
          size: size as number | undefined, // from its parser, as are the others
          count: count as number | undefined,
          family: ipv6 === true ? 6 : 4,
          shared: shared === true ? 'true' : undefined,
        },
      )
      await context.list([...items], suggestionShape)
    },
  )
}

function addShow(ipam: Command, io: Io): void {
  onRun(
    explain(
      addOutputOptions(ipam.command('show').argument('[network...]', 'name or id')),
      'Show how full networks are, and which host holds which addresses.',
      ['carrick ipam show', 'carrick ipam show blue -o json'],
      ['reserve ls', 'endpoint ls'],
    ),
    io,
    async (context, references) => {
      const { client, output, io: out } = context
      const found =
        references.length === 0
          ? await client.list<NetworkAddresses>('/v1/ipam/networks')
          : await Promise.all(
              references.map((reference) =>
                client.get<NetworkAddresses>(path`/v1/ipam/networks/${reference}`),
              ),
            )
      const [only] = found
      const document =
        references.length === 1
          ? only
          : { apiVersion: 'v1', kind: 'NetworkAddressesList', items: found }
      const data = await printData(document, output)
      if (data === undefined) await context.list(found.flatMap(rowsOf), rowShape)
      else await out.writeOut(data)
    },
  )
}

function rowsOf({ metadata: { name }, status }: NetworkAddresses): readonly Row[] {
  const one = { usable: '1', used: '1', reserved: '0', free: '0' }
  return status.subnets.flatMap(({ blocks, claims, gateway: _, ...subnet }) => [
    { network: name, holder: 'all hosts', ...subnet },
    ...blocks.map(({ host, hostId, ...block }) => {
      return { network: name, holder: host ?? hostId, ...block }
    }),
    ...claims.map(({ address, host, hostId }) => {
      return { network: name, holder: host ?? hostId, prefix: address, ...one }
    }),
  ])
}

function addCheck(ipam: Command, io: Io): void {
  onRun(
    explain(
      addOutputOptions(ipam.command('check')).option('--repair', 'put right what is safe'),
      'Look for leaked, doubled and unowned addresses; ends with 7 when something is left.',
      ['carrick ipam check', 'carrick ipam check --repair'],
      ['ipam show', 'status'],
    ),
    io,
    async (context) => {
      const { client, output, options, io: out } = context
      const repair = options['repair'] === true
      const check = await client.post<IpamCheck>('/v1/ipam/checks', { spec: { repair } })
      const { findings } = check.status
      const data = await printData(check, output)
      if (data !== undefined) await out.writeOut(data)
      else if (findings.length > 0) await context.list([...findings], findingShape)
      else if (!output.quiet)
        out.writeErr('ok: every address has one owner, and nothing is left over\n')
      if (findings.some(({ repaired }) => !repaired)) throw new ExitWith(EXIT_PROBLEM)
    },
  )
}

/** Parser of a prefix length, with or without its slash. */
function parsesLength(text: string): number {
  const match = /^\/?(\d{1,3})$/.exec(text)
  if (match === null) throw new InvalidArgumentError('A length is written like /16.')
  return Number(match[1])
}

function numberOf<Key extends string>(key: Key) {
  return (item: Readonly<Record<Key, string>>): number => Number(item[key])
}
