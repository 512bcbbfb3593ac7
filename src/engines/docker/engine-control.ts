/** Of the use cases and of what is known, that which following an engine needs. */

import type { Control } from '../../control/control.ts'
import type { DockerControl } from '../../control/docker-control.ts'
import type { Replica } from '../../store/replica/replica.ts'

export type FollowerControl = DockerControl &
  Pick<Control, 'listNetworks' | 'listEndpoints' | 'listHosts' | 'removeNetwork'>

export type FollowerReplica = Pick<
  Replica,
  'hostId' | 'complete' | 'network' | 'networks' | 'engineNetworks' | 'subscribe'
>
