/** Of the use cases, those that the plug-in needs. */

import type { Control } from '../../control/control.ts'
import type { DockerControl } from '../../control/docker-control.ts'

export type EngineControl = DockerControl &
  Pick<
    Control,
    | 'createNetwork'
    | 'listNetworks'
    | 'getNetwork'
    | 'removeNetwork'
    | 'listEndpoints'
    | 'publish'
    | 'unpublish'
    | 'publicationsOf'
    | 'reserve'
    | 'unreserve'
    | 'listReservations'
  >
