/** All tests: `npm test`. Each step has a budget; together they stay well below 25 minutes. */

import { checks } from './checks.ts'
import { runSteps } from './steps.ts'

await runSteps([
  ...checks,
  { name: 'build', command: ['bun', 'scripts/build.ts'], budgetSeconds: 60 },
  { name: 'kernel', command: ['bun', 'test', './test/kernel'], budgetSeconds: 300 },
  { name: 'peers', command: ['bun', 'test', './test/peers'], budgetSeconds: 300 },
  { name: 'cluster', command: ['bun', 'test', './test/cluster'], budgetSeconds: 600 },
])
