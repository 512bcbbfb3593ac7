/** All tests: `npm test`. Each step has a budget; together they stay well below 25 minutes. */

import { checks } from './checks.ts'
import { runSteps } from './steps.ts'

await runSteps([
  ...checks,
  { name: 'build', command: ['bun', 'scripts/build.ts'], budgetSeconds: 60 },
  { name: 'kernel', command: ['bun', 'test', './test/kernel'], budgetSeconds: 180 },
  // Engines and hosts in namespaces mostly wait for each other: two files at a time take half as long.
  { name: 'peers', command: ['bun', 'test', '--parallel=2', './test/peers'], budgetSeconds: 540 },
  {
    name: 'cluster',
    command: ['bun', 'test', '--parallel=2', './test/cluster'],
    budgetSeconds: 480,
  },
  { name: 'sweep', command: ['bun', 'test/cluster/sweep.ts'], budgetSeconds: 30, always: true },
])
