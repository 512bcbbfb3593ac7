/** One accept of ours at the end of foreign chains that drop, judged by `iptables -S` and `nft`. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { passages } from '../../src/dataplane/resources/passage.ts'
import type { Passage } from '../../src/hoststate/ports.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

const MARK = 0x400000
const FORWARD: Passage = { kind: 'passage', mark: MARK, hooks: ['forward'] }
const BOTH: Passage = { kind: 'passage', mark: MARK, hooks: ['forward', 'input'] }
const OURS = '-m mark --mark 0x400000/0x400000 -m comment --comment carrick -j ACCEPT'

/** A namespace with this ruleset. */
function host(ruleset = '') {
  const made = namespaces.make('f')
  if (ruleset !== '') made.view.nft.run(ruleset)
  let warnings: readonly string[] = []
  const resource = passages(made.view, (told) => {
    warnings = told
  })
  /** What an audit does; tells whether it had to. */
  const settle = (want: Passage): boolean => {
    const have = [...resource.list([want], true)][0]
    assert.ok(have)
    // The resource hands out only what it takes back.
    if (resource.equal(want, have as never)) return false
    resource.put(want)
    return true
  }
  const shell = (command: string): string => {
    const result = spawnSync('ip', ['netns', 'exec', made.name, 'sh', '-c', command], {
      encoding: 'utf8',
    })
    if (result.status !== 0) throw new Error(result.stderr)
    return result.stdout
  }
  /** The rules of one chain, as nft prints them, without counters. */
  const rules = (chain: string): readonly string[] =>
    run(made.name, `nft list chain ${chain}`)
      .split('\n')
      .slice(2)
      .map((line) => line.trim().replace(/counter packets \d+ bytes \d+ /, ''))
      .filter((line) => line !== '' && line !== '}' && !line.startsWith('type '))
  return { ...made, resource, settle, shell, rules, warnings: () => warnings }
}

const OURS_NFT = 'meta mark & 0x00400000 == 0x00400000 accept comment "carrick"'

test('an iptables chain that drops gets ours at its end, and iptables goes on to print and edit it', () => {
  const { settle, shell } = host()
  shell('iptables -P FORWARD DROP; iptables -A FORWARD -s 198.51.100.9 -j DROP')
  shell('ip6tables -P FORWARD DROP')
  assert.equal(settle(FORWARD), true)
  assert.equal(settle(FORWARD), false)
  const listed = () => shell('iptables -S FORWARD').trim().split('\n').slice(1)
  assert.deepEqual(listed(), ['-A FORWARD -s 198.51.100.9/32 -j DROP', `-A FORWARD ${OURS}`])
  assert.match(shell('ip6tables -S FORWARD'), new RegExp(OURS))
  assert.doesNotMatch(shell('iptables -S INPUT'), /carrick/)
  // A deny that is added later comes behind ours, until ours moves behind it.
  shell('iptables -A FORWARD -s 198.51.100.10 -j DROP')
  assert.equal(settle(FORWARD), true)
  assert.deepEqual(listed(), [
    '-A FORWARD -s 198.51.100.9/32 -j DROP',
    '-A FORWARD -s 198.51.100.10/32 -j DROP',
    `-A FORWARD ${OURS}`,
  ])
  assert.equal(settle(FORWARD), false)
  shell('iptables -F')
  assert.equal(settle(FORWARD), true)
  assert.deepEqual(listed(), [`-A FORWARD ${OURS}`])
})

test('removing takes every rule of ours and nothing else', () => {
  const { resource, settle, shell, name } = host(
    'table inet own { chain c { type filter hook forward priority 5; policy drop; }; }',
  )
  shell('iptables -P FORWARD DROP; iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT')
  const before = run(name, 'nft list ruleset')
  settle(BOTH)
  assert.equal(run(name, 'nft list ruleset').split('carrick').length, 4)
  // A restarted agent that wants none finds them.
  const again = passages(
    namespaces.kernel.inNetns(
      namespaces.kernel.openNetns(`/run/netns/${name}`),
      (inside) => inside,
    ),
    () => {},
  )
  const [left] = again.list([], true)
  assert.ok(left)
  again.remove(left)
  assert.equal(run(name, 'nft list ruleset'), before)
  assert.deepEqual([...resource.list([], true)], [])
})

for (const { what, ruleset, chain, want } of [
  {
    what: 'a policy that accepts needs nothing',
    ruleset: 'chain c { type filter hook forward priority 0; ip saddr 192.0.2.1 drop; }',
    chain: 'c',
    want: ['ip saddr 192.0.2.1 drop'],
  },
  {
    what: 'a final drop comes after ours, and so does its line in the log',
    ruleset:
      'chain c { type filter hook forward priority 0; ip saddr 192.0.2.1 drop; log prefix "no " ; counter reject; }',
    chain: 'c',
    want: ['ip saddr 192.0.2.1 drop', OURS_NFT, 'log prefix "no "', 'reject'],
  },
  {
    what: 'a chain that everything is handed to, and which drops in the end',
    ruleset:
      'chain zone { ip saddr 192.0.2.1 drop; reject; }\nchain zones { goto zone; }\nchain c { type filter hook forward priority 0; jump zones; drop; }',
    chain: 'zone',
    want: ['ip saddr 192.0.2.1 drop', OURS_NFT, 'reject'],
  },
  {
    what: 'a called chain that returns is no end',
    ruleset:
      'chain user { ip saddr 192.0.2.1 drop; return; }\nchain c { type filter hook forward priority 0; policy drop; jump user; }',
    chain: 'c',
    want: ['jump user', OURS_NFT],
  },
  {
    what: 'a called chain that some leave denies what it drops of the others',
    ruleset:
      'chain local { fib daddr type local return; drop; }\nchain c { type filter hook forward priority 0; policy drop; jump local; }',
    chain: 'c',
    want: ['jump local', OURS_NFT],
  },
  {
    what: 'a chain that accepts everything in the end needs nothing',
    ruleset: 'chain c { type filter hook forward priority 0; policy drop; accept; }',
    chain: 'c',
    want: ['accept'],
  },
  {
    what: 'a chain before ours would see no mark',
    ruleset: 'chain c { type filter hook forward priority -200; policy drop; }',
    chain: 'c',
    want: [],
  },
  {
    what: 'a chain on another hook is no business of ours',
    ruleset: 'chain c { type filter hook output priority 0; policy drop; }',
    chain: 'c',
    want: [],
  },
  {
    what: 'chains that call each other in a circle end somewhere',
    ruleset: 'chain c { type filter hook forward priority 0; policy drop; jump a; }\nchain a { }',
    chain: 'c',
    want: ['jump a', OURS_NFT],
  },
]) {
  for (const family of ['ip', 'ip6', 'inet']) {
    if (family === 'ip6' && ruleset.includes('ip saddr')) continue
    test(`${family}: ${what}`, () => {
      const { settle, rules } = host(`table ${family} fw {\n${ruleset}\n}`)
      settle(FORWARD)
      assert.deepEqual(rules(`${family} fw ${chain}`), want)
      assert.equal(settle(FORWARD), false)
    })
  }
}

test('input chains are passed only where that is wanted', () => {
  const { settle, rules } = host(
    'table inet fw { chain in { type filter hook input priority 0; policy drop; }; }',
  )
  assert.equal(settle(FORWARD), false)
  settle(BOTH)
  assert.deepEqual(rules('inet fw in'), [OURS_NFT])
  settle(FORWARD)
  assert.deepEqual(rules('inet fw in'), [])
})

test('a rule for another mark is replaced, a second one taken away', () => {
  const { settle, rules, view } = host(
    'table inet fw { chain c { type filter hook forward priority 0; policy drop; }; }',
  )
  settle({ ...FORWARD, mark: 0x100 })
  assert.match(rules('inet fw c').join(), /0x00000100/)
  settle(FORWARD)
  assert.deepEqual(rules('inet fw c'), [OURS_NFT])
  view.nft.run(`insert rule inet fw c ${OURS_NFT}`)
  assert.equal(settle(FORWARD), true)
  assert.deepEqual(rules('inet fw c'), [OURS_NFT])
})

test('a chain to which our rule was moved away from is cleaned', () => {
  const { settle, rules, view } = host(
    'table inet fw {\nchain zone { drop; }\nchain c { type filter hook forward priority 0; policy drop; goto zone; }\n}',
  )
  settle(FORWARD)
  assert.deepEqual(rules('inet fw zone'), [OURS_NFT, 'drop'])
  view.nft.run('flush chain inet fw c')
  settle(FORWARD)
  assert.deepEqual(rules('inet fw zone'), ['drop'])
  assert.deepEqual(rules('inet fw c'), [OURS_NFT])
})

test('a filter table of the older iptables becomes a warning with the command that helps', () => {
  const { settle, shell, warnings } = host()
  shell('iptables-legacy -P FORWARD DROP')
  settle(FORWARD)
  assert.equal(warnings().length, 1)
  const command = warnings()[0]?.split(': ')[1] ?? ''
  shell(command)
  assert.match(shell('iptables-legacy -S FORWARD'), /--mark 0x400000\/0x400000 -j ACCEPT/)
})

test('a table that only its maker may change becomes a warning', async () => {
  const { settle, name, warnings } = host()
  const owner = Bun.spawn(['ip', 'netns', 'exec', name, 'nft', '-i'], {
    stdin: 'pipe',
    stdout: 'pipe',
  })
  try {
    owner.stdin.write(
      'table inet fw { flags owner; chain c { type filter hook forward priority 0; policy drop; }; }\nlist ruleset\n',
    )
    await owner.stdin.flush()
    for await (const part of owner.stdout) {
      if (Buffer.from(part).toString().includes('policy drop')) break
    }
    settle(FORWARD)
    assert.deepEqual(warnings().length, 1)
    assert.match(warnings()[0] ?? '', /table fw drops packets/)
    assert.equal(settle(FORWARD), false)
  } finally {
    owner.kill()
    await owner.exited
  }
})
