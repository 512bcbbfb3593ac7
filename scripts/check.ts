/** Everything that continuous integration checks short of what needs root: `npm run check`. */

import { checks } from './checks.ts'
import { runSteps } from './steps.ts'

await runSteps(checks)
