/** What nothing of anybody's stands in the way of: the paths that all others are compared with. */
import type { Lab } from '../src/lab/lab.ts'
import type { TrafficEnds } from './traffic.ts'

const [LEFT, RIGHT] = ['198.51.100.1', '198.51.100.2']

/** Two containers on the first host, joined by a veth pair. */
export async function bareVeth(lab: Lab): Promise<TrafficEnds> {
  const [left, right] = await lab.containers('h1', ['veth-left', 'veth-right'])
  if (left === undefined || right === undefined) throw new Error('Two names make two containers')
  await lab.joinBare(left, [`${LEFT}/24`], right, [`${RIGHT}/24`])
  return { clientNetns: left.pin, serverNetns: right.pin, serverAddress: RIGHT }
}

/** The wire between the two hosts; bare only in a lab without a daemon, whose tables its packets would pass. */
export function bareWire(lab: Lab): TrafficEnds {
  const serverAddress = lab.hosts[1]?.underlay[0].ip ?? ''
  return { clientNetns: lab.netns('h1'), serverNetns: lab.netns('h2'), serverAddress }
}
