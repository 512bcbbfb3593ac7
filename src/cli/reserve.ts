/** `carrick reserve NETWORK NAME ADDRESS...`, `carrick reserve ls|rm`. */

import type { Command } from 'commander'
import type { Reservation } from '../api/rest/address-schemas.ts'
import { formatAge } from '../lib/units.ts'
import { path } from './client.ts'
import { addOutputOptions, collect, explain, onRun } from './command.ts'
import type { Io } from './io.ts'
import type { Shape } from './output.ts'

const reservationShape: Shape<Reservation> = {
  kind: 'Reservation',
  id: ({ metadata }) => metadata.id,
  name: ({ metadata }) => metadata.name,
  columns: [
    { key: 'network', values: ({ spec }) => [spec.network] },
    { key: 'name', values: ({ metadata }) => [metadata.name] },
    { key: 'addresses', values: ({ spec }) => spec.addresses },
    { key: 'host', values: ({ status }) => (status.host === undefined ? [] : [status.host]) },
    {
      key: 'endpoint',
      values: ({ status }) => (status.endpointId === undefined ? [] : [status.endpointId]),
      wide: true,
    },
    {
      key: 'age',
      values: ({ metadata }, nowMs) => [formatAge(nowMs - Date.parse(metadata.createdAt))],
      number: ({ metadata }) => -Date.parse(metadata.createdAt),
    },
  ],
}

export function addReserveCommands(program: Command, io: Io): void {
  const reserve = explain(
    program.command('reserve'),
    'Keep addresses for endpoints of one name, on whichever host they start.',
    ['carrick reserve shop web 10.81.0.10', 'carrick reserve ls shop'],
    ['attach', 'ipam show'],
  )
  onRun(
    explain(
      addOutputOptions(
        reserve
          .command('add', { isDefault: true })
          .argument('<network>', 'name or id')
          .argument('<name>', 'name of the endpoint')
          .argument('<address...>', 'one address per family'),
      ),
      'Reserve addresses: `add` may be left out, unless a network is called add, ls or rm.',
      ['carrick reserve shop web 10.81.0.10', 'carrick reserve add shop db 10.81.0.11 fd81::b'],
      ['reserve ls', 'reserve rm'],
    ),
    io,
    async (context, [network = '', name = '', ...addresses]) => {
      const body = { metadata: { name }, spec: { addresses } }
      const made = await context.client.post<Reservation>(
        path`/v1/networks/${network}/reservations`,
        body,
      )
      await context.one(made, reservationShape)
    },
  )
  onRun(
    explain(
      addOutputOptions(
        reserve.command('ls').alias('list').argument('[network]', 'only those of this network'),
      )
        .option('--filter <key=value>', 'only reservations whose column has the value', collect, [])
        .option('--sort-by <column>', 'order by this column'),
      'List reservations, and where endpoints of their names live.',
      ['carrick reserve ls', 'carrick reserve ls shop -o json'],
      ['reserve add', 'reserve rm'],
    ),
    io,
    async (context, [network]) => {
      const place =
        network === undefined ? '/v1/reservations' : path`/v1/networks/${network}/reservations`
      await context.list(await context.client.list<Reservation>(place), reservationShape)
    },
  )
  onRun(
    explain(
      reserve
        .command('rm')
        .alias('delete')
        .argument('<network>', 'name or id')
        .argument('<name...>', 'names the addresses are reserved for'),
      'Give reserved addresses back: an endpoint that has one keeps it.',
      ['carrick reserve rm shop web', 'carrick reserve rm shop web db'],
      ['reserve ls'],
    ),
    io,
    async (context, [network = '', ...names]) => {
      for (const name of names) {
        const place = path`/v1/networks/${network}/reservations/${name}`
        // A deletion is content when nothing is there; a user who misspelt a name is not.
        await context.client.get<Reservation>(place)
        await context.client.delete(place)
        await context.io.writeOut(`${name}\n`)
      }
    },
  )
}
