/** Standard input as runtimes were seen to send it, and everything else that it may be. */

import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ip, mac, prefix } from '../../net/testing.ts'
import { type AttachConfig, readAttachConfig } from './attach-config.ts'
import { readConfig } from './config.ts'
import { cniCodeOf } from './errors.ts'

function read(object: object, args = ''): AttachConfig {
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'carrick', ...object })
  return readAttachConfig(readConfig(stdin, 'ADD'), args)
}

const NOTHING: AttachConfig = {
  addresses: [],
  rangeSets: [],
  mac: undefined,
  aliases: [],
  portMappings: [],
  dns: undefined,
  bandwidth: {},
  labels: {},
  annotations: {},
  pod: {},
  mtuBytes: undefined,
  isGateway: undefined,
  isDefaultGateway: undefined,
  ipMasq: undefined,
  hairpinMode: undefined,
  routes: [],
}

for (const { name, object, args, want } of [
  { name: 'nothing', object: {}, want: {} },
  {
    name: 'cnitool',
    object: {
      bridge: 'br0',
      capabilities: { aliases: true, ips: true, mac: true, portMappings: false },
      ipMasq: true,
      ipam: {
        ranges: [[{ subnet: '10.231.0.0/24' }], [{ subnet: 'fd00:acc1::/64' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        type: 'host-local',
      },
      isGateway: true,
      runtimeConfig: { aliases: ['web', 'db'], ips: ['10.231.0.77'], mac: '0a:00:00:00:00:77' },
      'x-unknown': { keep: [1, 2] },
    },
    args: 'IgnoreUnknown=1;FOO=bar',
    want: {
      addresses: [{ address: ip('10.231.0.77') }],
      mac: mac('0a:00:00:00:00:77'),
      aliases: ['web', 'db'],
      isGateway: true,
      ipMasq: true,
    },
  },
  {
    name: 'podman run',
    object: {
      runtimeConfig: {
        aliases: { net: ['db', 'primary', '521c59df7622'] },
        portMappings: [
          { hostPort: 18080, containerPort: 80, protocol: 'tcp', hostIP: '127.0.0.1' },
          { hostPort: 18081, containerPort: 81, protocol: 'udp' },
        ],
      },
    },
    args: 'IgnoreUnknown=1;K8S_POD_NAME=web1;MAC=0a:00:00:00:00:55;IP=10.236.0.55',
    want: {
      addresses: [{ address: ip('10.236.0.55') }],
      mac: mac('0a:00:00:00:00:55'),
      aliases: ['db', 'primary', '521c59df7622'],
      portMappings: [
        { hostPort: 18080, containerPort: 80, protocol: 'tcp', hostIp: ip('127.0.0.1') },
        { hostPort: 18081, containerPort: 81, protocol: 'udp' },
      ],
      pod: { name: 'web1' },
    },
  },
  {
    name: 'podman with two addresses',
    object: {
      capabilities: { ips: true },
      runtimeConfig: { ips: ['10.238.0.5', 'fd00:acc8::5'] },
    },
    want: { addresses: [{ address: ip('10.238.0.5') }, { address: ip('fd00:acc8::5') }] },
  },
  {
    name: 'containerd',
    object: {
      runtimeConfig: {
        bandwidth: {
          IngressRate: 10_000_000,
          IngressBurst: 4_294_967_295,
          EgressRate: 20_000_000,
          EgressBurst: 4_294_967_295,
        },
        dns: {
          Servers: ['10.96.0.10'],
          Searches: ['team-ns.svc.cluster.local', 'svc.cluster.local'],
          Options: ['ndots:5'],
        },
        'io.kubernetes.cri.pod-annotations': {
          'example.org/note': 'hello',
          'kubernetes.io/egress-bandwidth': '20M',
        },
        portMappings: [
          { HostPort: 18100, ContainerPort: 80, Protocol: 'tcp', HostIP: '' },
          { HostPort: 18153, ContainerPort: 53, Protocol: 'udp', HostIP: '127.0.0.1' },
        ],
      },
    },
    args: 'K8S_POD_NAMESPACE=team-ns;K8S_POD_NAME=pod-a;K8S_POD_INFRA_CONTAINER_ID=29791e;K8S_POD_UID=9d0c1e2a-1111-2222-3333-444455556666;IgnoreUnknown=1',
    want: {
      bandwidth: {
        toContainer: { bitsPerSecond: 10_000_000 },
        fromContainer: { bitsPerSecond: 20_000_000 },
      },
      dns: {
        nameservers: ['10.96.0.10'],
        search: ['team-ns.svc.cluster.local', 'svc.cluster.local'],
        options: ['ndots:5'],
      },
      annotations: {
        'example.org/note': 'hello',
        'kubernetes.io/egress-bandwidth': '20M',
      },
      portMappings: [
        { hostPort: 18100, containerPort: 80, protocol: 'tcp' },
        { hostPort: 18153, containerPort: 53, protocol: 'udp', hostIp: ip('127.0.0.1') },
      ],
      pod: { name: 'pod-a', namespace: 'team-ns', uid: '9d0c1e2a-1111-2222-3333-444455556666' },
    },
  },
  {
    name: 'CRI-O',
    object: {
      runtimeConfig: {
        bandwidth: { ingressRate: 8_000_000, ingressBurst: 34_359_738_359 },
        aliases: { other: ['x'] },
      },
    },
    want: { bandwidth: { toContainer: { bitsPerSecond: 8_000_000 } } },
  },
  {
    name: 'Nomad, which sends each port for both protocols',
    object: {
      runtimeConfig: {
        portMappings: [
          { HostPort: 80, ContainerPort: 80, Protocol: 'tcp' },
          { HostPort: 80, ContainerPort: 80, Protocol: 'udp' },
          { HostPort: 80, ContainerPort: 80, Protocol: 'TCP' },
          { HostPort: 0, ContainerPort: 81, Protocol: 'tcp' },
        ],
      },
    },
    want: {
      portMappings: [
        { hostPort: 80, containerPort: 80, protocol: 'tcp' },
        { hostPort: 80, containerPort: 80, protocol: 'udp' },
      ],
    },
  },
  {
    name: 'ranges at run time before those of the configuration',
    object: {
      ipam: { subnet: '10.9.0.0/16', ranges: [[{ subnet: 'fd00::/64' }]] },
      runtimeConfig: {
        ipRanges: [
          [
            { subnet: '10.80.0.0/24', rangeStart: '10.80.0.20', rangeEnd: '10.80.0.30' },
            { subnet: '10.80.1.0/24', gateway: '10.80.1.1' },
          ],
        ],
      },
    },
    want: {
      rangeSets: [
        [
          { subnet: prefix('10.80.0.0/24'), first: ip('10.80.0.20'), last: ip('10.80.0.30') },
          { subnet: prefix('10.80.1.0/24'), gateway: ip('10.80.1.1') },
        ],
      ],
    },
  },
  {
    name: 'ranges of the configuration',
    object: { ipam: { subnet: '10.9.0.0/16', ranges: [[{ subnet: 'fd00::/64' }]] } },
    want: { rangeSets: [[{ subnet: prefix('10.9.0.0/16') }], [{ subnet: prefix('fd00::/64') }]] },
  },
  {
    name: 'a configuration with habits of the reference plug-ins',
    object: {
      mtu: 1400,
      isGateway: true,
      isDefaultGateway: false,
      hairpinMode: true,
      ipMasq: false,
      promiscMode: true,
      dns: { nameservers: ['192.0.2.53'], domain: 'example.org' },
      routes: [{ dst: '192.0.2.0/24', gw: '10.80.0.9', mtu: 1300, priority: 50 }],
      ipam: { routes: [{ dst: '198.51.100.7/24' }] },
    },
    want: {
      mtuBytes: 1400,
      isGateway: true,
      isDefaultGateway: false,
      hairpinMode: true,
      ipMasq: false,
      dns: { nameservers: ['192.0.2.53'], domain: 'example.org', search: [], options: [] },
      routes: [
        { to: prefix('192.0.2.0/24'), via: ip('10.80.0.9'), mtuBytes: 1300, priority: 50 },
        { to: prefix('198.51.100.0/24') },
      ],
    },
  },
  {
    name: 'nulls and empties',
    object: {
      mtu: 0,
      mac: '',
      dns: {},
      args: { cni: null },
      runtimeConfig: {
        portMappings: null,
        aliases: null,
        ips: null,
        mac: '',
        dns: {},
        bandwidth: { ingressRate: 0, ingressBurst: 5 },
      },
    },
    want: {},
  },
  {
    name: 'labels',
    object: { args: { cni: { labels: [{ key: 'app', value: 'web' }, { key: 'tier' }] } } },
    want: { labels: { app: 'web', tier: '' } },
  },
] satisfies readonly {
  name: string
  object: object
  args?: string
  want: Partial<AttachConfig>
}[]) {
  test(`readAttachConfig() of ${name}`, () =>
    assert.deepEqual(read(object, args), { ...NOTHING, ...want }))
}

const EVERYWHERE = {
  mac: '0a:00:00:00:00:04',
  ips: ['10.0.0.4', 'fd00::4'],
  args: { cni: { mac: '0a:00:00:00:00:02', ips: ['10.0.0.2/24'] } },
  runtimeConfig: { mac: '0A-00-00-00-00-01', ips: ['10.0.0.1/16'] },
}
const CNI_ARGS = 'MAC=0a:00:00:00:00:03;IP=10.0.0.3,fd00::3'

for (const { name, object, args, macByte, ips } of [
  {
    name: 'runtimeConfig',
    object: EVERYWHERE,
    args: CNI_ARGS,
    macByte: 1,
    ips: [{ address: ip('10.0.0.1'), length: 16 }, { address: ip('fd00::3') }],
  },
  {
    name: 'args.cni',
    object: { ...EVERYWHERE, runtimeConfig: {} },
    args: CNI_ARGS,
    macByte: 2,
    ips: [{ address: ip('10.0.0.2'), length: 24 }, { address: ip('fd00::3') }],
  },
  {
    name: 'CNI_ARGS',
    object: { ...EVERYWHERE, runtimeConfig: {}, args: {} },
    args: CNI_ARGS,
    macByte: 3,
    ips: [{ address: ip('10.0.0.3') }, { address: ip('fd00::3') }],
  },
  {
    name: 'the configuration',
    object: { ...EVERYWHERE, runtimeConfig: {}, args: {} },
    args: '',
    macByte: 4,
    ips: [{ address: ip('10.0.0.4') }, { address: ip('fd00::4') }],
  },
]) {
  test(`readAttachConfig() heeds ${name} first, each family for itself`, () => {
    const { mac: chosen, addresses } = read(object, args)
    assert.equal(chosen, mac(`0a:00:00:00:00:0${macByte}`))
    assert.deepEqual(addresses, ips)
  })
}

for (const { name, runtimeConfig, object, args, code, told } of [
  { name: 'a MAC zz', runtimeConfig: { mac: 'zz' }, code: 7, told: /runtimeConfig\.mac "zz"/ },
  {
    name: 'a group MAC',
    runtimeConfig: { mac: '01:00:5e:00:00:01' },
    code: 7,
    told: /group address/,
  },
  { name: 'an odd MAC in CNI_ARGS', args: 'MAC=1', code: 7, told: /CNI_ARGS MAC "1"/ },
  { name: 'an odd IP in CNI_ARGS', args: 'IP=1.2.3', code: 7, told: /CNI_ARGS IP "1\.2\.3"/ },
  { name: 'a length too long', runtimeConfig: { ips: ['10.0.0.1/33'] }, code: 7, told: /ips/ },
  { name: 'an address that is a number', runtimeConfig: { ips: [1] }, code: 6, told: /ips\[0\]/ },
  { name: 'runtimeConfig as a list', runtimeConfig: [], code: 6, told: /runtimeConfig/ },
  {
    name: 'port 70000',
    runtimeConfig: { portMappings: [{ hostPort: 70_000, containerPort: 80 }] },
    code: 7,
    told: /portMappings\[0\]\.hostPort "70000"/,
  },
  {
    name: 'a port without another',
    runtimeConfig: { portMappings: [{ HostPort: 80 }] },
    code: 6,
    told: /portMappings\[0\]\.containerPort/,
  },
  {
    name: 'an unknown protocol',
    runtimeConfig: { portMappings: [{ HostPort: 80, ContainerPort: 80, Protocol: 'dccp' }] },
    code: 2,
    told: /protocol "dccp"/,
  },
  {
    name: 'a host address that is a name',
    runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, hostIP: 'lo' }] },
    code: 7,
    told: /hostIP "lo"/,
  },
  { name: 'an alias that is a number', runtimeConfig: { aliases: [1] }, code: 6, told: /aliases/ },
  {
    name: 'aliases that are no lists',
    runtimeConfig: { aliases: { net: 'db' } },
    code: 6,
    told: /aliases\.net/,
  },
  {
    name: 'a nameserver that is a name',
    runtimeConfig: { dns: { servers: ['dns.example'] } },
    code: 7,
    told: /"dns\.example"/,
  },
  {
    name: 'a range without subnet',
    runtimeConfig: { ipRanges: [[{ rangeStart: '10.0.0.1' }]] },
    code: 7,
    told: /ipRanges\[0\]\[0\]\.subnet/,
  },
  {
    name: 'a range beyond its subnet',
    runtimeConfig: { ipRanges: [[{ subnet: '10.0.0.0/24', rangeEnd: '10.0.1.1' }]] },
    code: 7,
    told: /rangeEnd "10\.0\.1\.1"/,
  },
  {
    name: 'a flat list of ranges',
    runtimeConfig: { ipRanges: [{}] },
    code: 6,
    told: /ipRanges\[0\]/,
  },
  {
    name: 'a negative rate',
    runtimeConfig: { bandwidth: { ingressRate: -1 } },
    code: 7,
    told: /ingressRate/,
  },
  { name: 'ipMasq as text', object: { ipMasq: 'yes' }, code: 6, told: /ipMasq/ },
  { name: 'an mtu as text', object: { mtu: '1400' }, code: 6, told: /mtu/ },
  { name: 'a route to nowhere', object: { routes: [{ gw: '10.0.0.1' }] }, code: 7, told: /dst/ },
] as readonly {
  name: string
  runtimeConfig?: object
  object?: object
  args?: string
  code: number
  told: RegExp
}[]) {
  test(`readAttachConfig() refuses ${name} with code ${code}`, () => {
    assert.throws(
      () => read({ ...object, ...(runtimeConfig === undefined ? {} : { runtimeConfig }) }, args),
      (error: Error) => {
        assert.equal(cniCodeOf(error), code, error.message)
        assert.match(error.message, told)
        return true
      },
    )
  })
}
