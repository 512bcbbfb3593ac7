/** The steps that `npm run check` and `npm test` have in common. */

import type { Step } from './steps.ts'

export const checks: readonly Step[] = [
  { name: 'lint', command: ['biome', 'check', '--error-on-warnings', '.'], budgetSeconds: 30 },
  { name: 'types', command: ['tsc', '-p', '.'], budgetSeconds: 60 },
  { name: 'unit', command: ['bun', 'test', './src', './bench', './scripts'], budgetSeconds: 120 },
]
