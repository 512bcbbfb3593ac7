/** Writes docs/openapi.json anew: `bun src/api/rest/write-openapi.ts`, after an operation or schema changed. */

import { writeFileSync } from 'node:fs'
import { VERSION } from '../../lib/version.ts'
import { openApiDocument } from './openapi.ts'

const path = new URL('../../../docs/openapi.json', import.meta.url)
writeFileSync(path, `${JSON.stringify(openApiDocument(VERSION), null, 2)}\n`)
