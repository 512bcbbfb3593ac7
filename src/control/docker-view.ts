/** What this host's container engine has to do with the cluster, for people to read. */

export interface DockerView {
  readonly engine: EngineView
  readonly plugin: {
    /** Name under which engines know this program as a driver. */
    readonly driver: string
    /** Where engines find it; absent: nowhere. */
    readonly socket?: string
  }
  readonly networks: readonly DockerNetworkView[]
  /** Of this host. */
  readonly endpoints: { readonly plugged: number; readonly held: number }
  /** Endpoints, addresses and pools that the engine knows nothing of. */
  readonly orphans: readonly OrphanView[]
  /** What is not wired, and what would wire it. */
  readonly hints: readonly string[]
}

export interface EngineView {
  /** `off`: not asked for by the settings; `away`: nobody answers. */
  readonly state: 'off' | 'away' | 'connected'
  /** Path of its socket; empty when off. */
  readonly socket: string
  readonly version?: string
  readonly apiVersion?: string
  /** Why it is away. */
  readonly reason?: string
}

export interface DockerNetworkView {
  /** Name of our network; absent for one that the cluster does not know. */
  readonly network?: string
  /** The engine's name, as it is or as it is to be. */
  readonly name: string
  readonly engineId?: string
  /**
   * `here`: the engine has it; `wanted`: it shall; `clash`: the name belongs to somebody else there; `unknown`:
   * it uses our driver, and the cluster does not know it.
   */
  readonly state: 'here' | 'wanted' | 'clash' | 'unknown'
  readonly detail?: string
}

export interface OrphanView {
  readonly kind: 'endpoint' | 'address' | 'pool'
  readonly id: string
  /** When it is removed. RFC 3339 */
  readonly due: string
}
