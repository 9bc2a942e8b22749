/**
 * Compile sessions: after any series of edits a session that remembers and one that begins anew answer
 * the same; and a table that is patched is, part by part, the table that was meant.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/base/clock.ts';
import { type CompileJob, runCompileJob } from '../../src/config/compile-job.ts';
import { CompileSession } from '../../src/config/compile-session.ts';
import type { FileContent } from '../../src/config/config-folder.ts';
import type { GoodTexts } from '../../src/config/read-files.ts';
import { applyPatch } from '../../src/config/table-patch.ts';
import { noTracingRules, type RoutingTable } from '../../src/model/routing-table.ts';

const clock = new ManualClock();
const hosts = 3;

/** A folder of one service and one route for each host, and one Sidecar; edits change its parts. */
interface State {
  readonly services: (readonly string[])[];
  readonly subsets: (readonly string[])[];
  readonly routes: (readonly Route[])[];
  readonly sidecar: string;
  /** Documents of Kubernetes and rules for connections. */
  readonly database: { readonly service: string; readonly route: string };
  /** Lines of `tracing` of one Telemetry; empty: there is none. */
  readonly telemetry: string;
  /** What one PeerAuthentication of the namespace says; empty: there is none. */
  readonly peers: string;
  /** Servers of one Gateway that selects the workload; empty: there is none. */
  readonly gateway: string;
  readonly broken: ReadonlySet<string>;
  /** The files of these hosts are one. */
  readonly joined: number;
}

interface Route {
  readonly prefix: string;
  /** Host by number; 99 is none. */
  readonly to: number;
  readonly subset: string;
  readonly weight: number;
}

const route = (over: Partial<Route> = {}): Route => ({
  ...{ prefix: '/', to: 0, subset: 'v1', weight: 100, ...over },
});

const meshed = 'security.istio.io/tlsMode: istio';
const nameOf = (host: number) => `s${host}`;

function serviceText(host: number, versions: readonly string[]): string {
  if (versions.length === 0) return '';
  const endpoints = versions.map(
    (version, index) =>
      `    - {address: 10.0.${host}.${index}, labels: {version: ${version}, ${meshed}}}\n`,
  );
  // The last one has two ports: what is meant on another port than these is not clear.
  const ports = host === hosts - 1 ? [80, 9090] : [host === 0 ? 80 : 9080];
  const written = ports.map((port) => `{number: ${port}, name: http-${port}, protocol: HTTP}`);
  return `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: ${nameOf(host)}}
spec:\n  hosts: [${nameOf(host)}.default.svc.cluster.local]\n  resolution: STATIC
  ports: [${written.join(', ')}]\n  endpoints:\n${endpoints.join('')}`;
}

function subsetsText(host: number, subsets: readonly string[]): string {
  if (subsets.length === 0) return '';
  const entries = subsets.map((each) => `    - {name: ${each}, labels: {version: ${each}}}\n`);
  // Other subsets, other TLS: a list that is edited says something else of the host's clusters too.
  const mode = ['DISABLE', 'SIMPLE', 'ISTIO_MUTUAL'][subsets.length % 3];
  return `---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${nameOf(host)}}
spec:\n  host: ${nameOf(host)}\n  trafficPolicy: {tls: {mode: ${mode}}}\n  subsets:\n${entries.join('')}`;
}

function routeText(host: number, routes: readonly Route[]): string {
  if (routes.length === 0) return '';
  const entries = routes.map(
    ({
      prefix,
      to,
      subset,
      weight,
    }) => `    - match: [{uri: {prefix: ${prefix}}}, {uri: {regex: "${prefix}.*${to}"}}]
      route:
        - {destination: {host: ${nameOf(to)}${subset === '' ? '' : `, subset: ${subset}`}}, weight: ${weight}}
        - {destination: {host: ${nameOf(host)}}, weight: 100}\n`,
  );
  return `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ${nameOf(host)}}
spec:\n  hosts: [${nameOf(host)}]\n  gateways: [edge, mesh]\n  http:\n${entries.join('')}`;
}

function filesOf(state: State): FileContent[] {
  const texts = new Map<string, string>();
  const add = (file: string, text: string) => {
    if (text !== '') texts.set(file, (texts.get(file) ?? '') + text);
  };
  for (let host = 0; host < hosts; host++) {
    const file = host < state.joined ? 'joined' : `host-${host}`;
    add(`${file}.yaml`, serviceText(host, state.services[host]!));
    add(`${file}-subsets.yaml`, subsetsText(host, state.subsets[host]!));
    add(`${file}-routes.yaml`, routeText(host, state.routes[host]!));
  }
  const sidecar = `apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: all}\nspec:\n  egress:\n`;
  if (state.sidecar !== '') add('sidecar.yaml', sidecar + state.sidecar);
  if (state.telemetry !== '') add('telemetry.yaml', telemetryHead + state.telemetry);
  if (state.gateway !== '') add('gateway.yaml', gatewayHead + state.gateway);
  if (state.peers !== '') add('peers.yaml', peersHead + state.peers);
  add('database.yaml', state.database.service);
  add('database-route.yaml', state.database.route);
  return [...texts]
    .toSorted(([first], [second]) => (first < second ? -1 : 1))
    .map(([file, text]) => ({
      file,
      text: state.broken.has(file) ? `${text}  oops: [` : text,
      problem: undefined,
    }));
}

const start: State = {
  services: Array.from({ length: hosts }, () => ['v1', 'v2']),
  subsets: Array.from({ length: hosts }, () => ['v1', 'v2']),
  routes: Array.from({ length: hosts }, (_, host) => [route({ to: host })]),
  sidecar: '',
  database: { service: '', route: '' },
  telemetry: '',
  peers: '',
  gateway: '',
  broken: new Set(),
  joined: 0,
};

type Edit = (state: State) => State;
const at = <T>(list: readonly T[], index: number, value: T): T[] => list.with(index, value);

const hostNumbers = fc.integer({ min: 0, max: hosts - 1 });
const versionLists = fc.subarray(['v1', 'v2', 'v3']);
const routes = fc.record({
  prefix: fc.constantFrom('/', '/a/', '/b/'),
  to: fc.constantFrom(0, 1, 2, 0, 1, 2, 99),
  subset: fc.constantFrom('', 'v1', 'v2', 'v3'),
  weight: fc.integer({ min: 0, max: 2 }),
});
const sidecars = [
  '',
  '  - hosts: ["./*"]\n',
  '  - hosts: ["./s1.default.svc.cluster.local"]\n',
  '  - {port: {number: 7070, protocol: HTTP, name: x}, bind: 127.0.0.1, hosts: ["./*"]}\n',
  '  - {port: {number: 7070, protocol: HTTP, name: x}, bind: 127.0.0.1, hosts: ["./s9.default.svc.cluster.local"]}\n',
  '  - hosts: ["./*"]\n  outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n',
];

const telemetryHead = `apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: all}\nspec:\n  tracing:\n`;
const telemetries = [
  '',
  '    - {randomSamplingPercentage: 10}\n',
  '    - {randomSamplingPercentage: 10, customTags: {a: {literal: {value: x}}}}\n',
  '    - {randomSamplingPercentage: 10, customTags: {a: {literal: {value: y}}}}\n',
  '    - {match: {mode: CLIENT}, disableSpanReporting: true}\n',
  '    - {customTags: {a: {header: {name: x}}, b: {environment: {name: B}}}}\n',
  '    - {randomSamplingPercentage: 200}\n',
];

const peersHead = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all}
spec:
`;
const policyText = (spec: string) =>
  `  mtls: {}\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy
metadata: {name: who}\nspec: ${spec}\n`;
const peers = [
  '',
  '  mtls: {mode: STRICT}\n',
  '  mtls: {mode: DISABLE}\n',
  '  selector: {matchLabels: {version: v2}}\n  portLevelMtls: {9080: {mode: DISABLE}}\n',
  '  mtls: {mode: CLOSED}\n',
  policyText('{rules: [{to: [{operation: {paths: ["/a*", "*"], ports: ["80"]}}]}]}'),
  policyText('{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}'),
  policyText('{action: CUSTOM}'),
];

const gatewayHead = `apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}
spec:\n  selector: {app: ingress}\n  servers:\n`;
const full = (host: number) => `${nameOf(host)}.default.svc.cluster.local`;
const serverText = (port: number, protocol: string, host: string, tls: string) =>
  `    - {port: {number: ${port}, protocol: ${protocol}}, hosts: ["${host}"], tls: {${tls}}}\n`;
const gateways = [
  '',
  serverText(7080, 'HTTP', '*', 'httpsRedirect: false'),
  serverText(7080, 'HTTP', '*', 'httpsRedirect: true'),
  serverText(7443, 'HTTPS', full(0), 'mode: SIMPLE, credentialName: a') +
    serverText(7443, 'HTTPS', '*.local', 'mode: SIMPLE, credentialName: b') +
    serverText(7443, 'TLS', full(1), 'mode: PASSTHROUGH'),
  serverText(7443, 'HTTPS', '*', 'mode: SIMPLE'),
];

/** A Service of a pod with a version, if there is one, and its rules for connections, if there are any. */
function databaseText(
  version: string,
  weights: readonly number[],
  port: number,
): State['database'] {
  const service = `---\napiVersion: v1\nkind: Service\nmetadata: {name: db}
spec: {clusterIP: 10.96.0.20, ports: [{port: ${port}, name: tcp}]}\n`;
  const slice = `---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice
metadata: {name: db, labels: {kubernetes.io/service-name: db}}\nports: [{name: tcp, port: 5432}]
endpoints: [{addresses: [10.9.0.1], targetRef: {kind: Pod, name: db}}]\n`;
  const pod = `---\napiVersion: v1\nkind: Pod\nmetadata: {name: db, labels: {version: ${version}}}\n`;
  const rule = `---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: db}
spec: {host: db, subsets: [{name: v1, labels: {version: v1}}]}\n`;
  const [first, second] = weights;
  const route = `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: db}
spec:\n  hosts: [db]\n  tcp:\n    - route:
        - {destination: {host: db, subset: v1}, weight: ${first}}
        - {destination: {host: db}, weight: ${second}}\n`;
  const parts = [service, version === '' ? '' : slice + pod, rule];
  return { service: parts.join(''), route: weights.length === 0 ? '' : route };
}

const databases = fc.oneof(
  fc.constant(start.database),
  fc
    .tuple(
      fc.constantFrom('', 'v1', 'v2'),
      fc.constantFrom([], [60, 40], [50, 50]),
      fc.constantFrom(5432, 80),
    )
    .map(([version, weights, port]) => databaseText(version, weights, port)),
);
const edits: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.tuple(hostNumbers, fc.array(routes, { maxLength: 3 })).map(
      ([host, list]): Edit =>
        (state) => ({ ...state, routes: at(state.routes, host, list) }),
    ),
  },
  fc.tuple(hostNumbers, versionLists).map(
    ([host, list]): Edit =>
      (state) => ({ ...state, services: at(state.services, host, list) }),
  ),
  fc.tuple(hostNumbers, versionLists).map(
    ([host, list]): Edit =>
      (state) => ({ ...state, subsets: at(state.subsets, host, list) }),
  ),
  databases.map(
    (database): Edit =>
      (state) => ({ ...state, database }),
  ),
  fc.constantFrom(...sidecars).map(
    (sidecar): Edit =>
      (state) => ({ ...state, sidecar }),
  ),
  {
    weight: 2,
    arbitrary: fc.constantFrom(...telemetries).map(
      (telemetry): Edit =>
        (state) => ({ ...state, telemetry }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...peers).map(
      (said): Edit =>
        (state) => ({ ...state, peers: said }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...gateways).map(
      (gateway): Edit =>
        (state) => ({ ...state, gateway }),
    ),
  },
  hostNumbers.map(
    (host): Edit =>
      (state) => {
        const file = `host-${host}-routes.yaml`;
        const broken = new Set(state.broken);
        if (!broken.delete(file)) broken.add(file);
        return { ...state, broken };
      },
  ),
  fc.integer({ min: 0, max: hosts }).map(
    (joined): Edit =>
      (state) => ({ ...state, joined }),
  ),
);

/** Edits one after the other; what the hot thread would have is kept beside. */
class Follower {
  readonly #session = new CompileSession();
  #files: readonly FileContent[] = [];
  #diagnostics: unknown;
  table: RoutingTable | undefined;
  patches = 0;

  get quick(): number {
    return this.#session.edits;
  }

  take(files: readonly FileContent[], goodTexts: GoodTexts, capture: 'none' | 'redirect') {
    const known = new Map(this.#files.map((each) => [each.file, each.text]));
    this.#files = files;
    const request = {
      names: files.map(({ file }) => file),
      changed: files.filter(({ file, text }) => known.get(file) !== text),
      problems: [],
      goodTexts: known.size === 0 ? goodTexts : undefined,
      context: contextOf((this.table?.generation ?? 0) + 1, capture),
      digest: '',
      inForce: this.table?.generation ?? 0,
    };
    const reply = structuredClone(this.#session.run(structuredClone(request), clock));
    const { change } = reply;
    if (change.kind === 'whole') this.table = change.table;
    if (change.kind === 'patch') {
      this.table = applyPatch(this.table!, change.patch);
      this.patches++;
    }
    this.#diagnostics = reply.diagnostics ?? this.#diagnostics;
    return { ...reply, diagnostics: this.#diagnostics };
  }
}

function contextOf(generation: number, capture: 'none' | 'redirect') {
  return { namespace: 'default', labels: { app: 'ingress' }, generation, capture };
}

/** Without what sharing, freezing and copying between threads may change. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, each) => {
      if (each instanceof RegExp) return String(each);
      return each === Number.POSITIVE_INFINITY ? 'never' : each;
    }),
  );
}

test('after any edits a session says what a compilation from nothing says', () => {
  let [patches, quick] = [0, 0];
  const property = fc.property(
    fc.constantFrom('none' as const, 'redirect' as const),
    fc.array(edits, { minLength: 1, maxLength: 14 }),
    (capture, list) => {
      const follower = new Follower();
      let state = start;
      let goodTexts: GoodTexts = new Map();
      for (const edit of [(same: State) => same, ...list]) {
        state = edit(state);
        const files = filesOf(state);
        const generation = (follower.table?.generation ?? 0) + 1;
        const job: CompileJob = {
          files: { files, problems: [], missingPaths: [] },
          goodTexts,
          context: contextOf(generation, capture),
          digest: '',
        };
        const whole = runCompileJob(job, clock);
        const reply = follower.take(files, goodTexts, capture);
        goodTexts = whole.goodTexts;
        const { table, diagnostics, refusedFiles, resources } = whole;
        const isNew = reply.change.kind !== 'none';
        const expected = isNew ? table : { ...table, generation: generation - 1 };
        assert.deepEqual(plain(follower.table), plain(expected));
        assert.deepEqual(reply.diagnostics, diagnostics);
        assert.deepEqual([reply.refusedFiles, reply.resources], [refusedFiles, resources]);
        assertFrozen(follower.table, reply.change.kind === 'patch');
      }
      patches += follower.patches;
      quick += follower.quick;
    },
  );
  fc.assert(property, { numRuns: 100 });
  assert.ok(patches > 90 && quick > 30, `${patches} patches, ${quick} of rules only`);
});

function assertFrozen(table: RoutingTable | undefined, isPatched: boolean): void {
  if (!isPatched) return;
  const listeners = [...(table?.listeners ?? []), ...(table?.capture?.outbound ?? [])];
  const lists = [table?.clusters, table?.capture?.destinations];
  const rules = Object.values(table?.tracing ?? {}).flatMap((each) => [each, each.tags]);
  const hosts = listeners.map((each) => each.virtualHosts);
  const all = [table, ...lists, ...listeners, ...hosts, table?.tracing, ...rules];
  for (const each of all) assert.ok(Object.isFrozen(each));
}

/** Folders one after the other, compared with compilations from nothing. */
function afterFiles(capture: 'none' | 'redirect', ...folders: readonly FileContent[][]) {
  const follower = new Follower();
  for (const files of folders) {
    const context = contextOf((follower.table?.generation ?? 0) + 1, capture);
    const job = { files: { files, problems: [], missingPaths: [] }, goodTexts: new Map(), context };
    const { table, diagnostics } = runCompileJob({ ...job, digest: '' }, clock);
    const reply = follower.take(files, new Map(), capture);
    assert.deepEqual(plain(follower.table), plain(table));
    assert.deepEqual(reply.diagnostics, diagnostics);
  }
  return follower;
}

function after(capture: 'none' | 'redirect', ...states: readonly State[]) {
  return afterFiles(capture, ...states.map(filesOf));
}

test('a cluster that the edited rules led to last is gone', () => {
  const [one, two] = [route({ subset: 'v1' }), route({ prefix: '/b/', subset: 'v2' })];
  const before = { ...start, routes: [[one, two], [], []] };
  const { table, quick } = after('redirect', before, { ...start, routes: [[one], [], []] });
  assert.ok(table?.clusters.every(({ subset }) => subset !== 'v2'));
  assert.equal(quick, 0);
});

test('rules that are complained of on one port only are compiled and complained of again', () => {
  const unclear = { ...start, sidecar: sidecars[3]! };
  const at7070 = (prefix: string) => [[route({ prefix, to: 2, subset: '' })], [], []];
  const first = { ...unclear, routes: at7070('/a/') };
  after('none', first, { ...unclear, routes: at7070('/b/') }, first);
  const clear = { ...unclear, routes: [[route({ to: 1 })], [], []] };
  after('none', clear, first, clear);
});

test('a host that is no service is called on the ports that its new rules lead to', () => {
  const services = [[], ['v1'], ['v1']];
  const to = (host: number) => [[route({ to: host, subset: '' })], [], []];
  after(
    'redirect',
    { ...start, services, routes: to(1) },
    { ...start, services, routes: to(2) },
    { ...start, services, routes: to(1) },
  );
});

test('an edit of rules compiles those rules only, and the next compilation knows them', () => {
  const routesOf = (prefix: string) => [[route({ prefix })], [route()], [route()]];
  const states = ['/', '/a/', '/b/'].map((prefix) => ({ ...start, routes: routesOf(prefix) }));
  const other = { ...start, routes: routesOf('/b/'), services: [['v1'], ['v1'], ['v1']] };
  assert.equal(after('redirect', ...states, other, ...states).quick, 4);
});

test('an edit beside destinations leaves them as they are, and one of their rules is seen', () => {
  const database = databaseText('v1', [60, 40], 5432);
  const routes = start.routes.with(0, [route({ prefix: '/a/' })]);
  const other = databaseText('v1', [50, 50], 5432);
  const follower = after(
    'redirect',
    { ...start, database },
    { ...start, database, routes },
    { ...start, database: other, routes },
  );
  assert.equal(follower.quick, 1);
  const { destinations } = follower.table!.capture!;
  const found = destinations.find(({ address }) => address === '10.96.0.20');
  const [rule] = found!.connectionRules;
  assert.deepEqual(
    rule!.backends.map(({ weight }) => weight),
    [50, 50],
  );
});

test('an edit of a Telemetry is a patch that leaves everything else as it is, and is carried on', () => {
  const follower = new Follower();
  const of = (telemetry: string, prefix = '/') =>
    filesOf({ ...start, telemetry, routes: start.routes.with(0, [route({ prefix })]) });
  follower.take(of(telemetries[1]!), new Map(), 'redirect');
  const before = follower.table!;
  assert.equal(before.tracing.inbound.ratio, 0.1);
  follower.take(of(telemetries[2]!), new Map(), 'redirect');
  const after = follower.table!;
  assert.deepEqual(after.tracing.outbound.tags, [{ kind: 'literal', name: 'a', value: 'x' }]);
  assert.equal(after.clusters, before.clusters);
  assert.equal(after.listeners, before.listeners);
  // An edit of rules only.
  follower.take(of(telemetries[2]!, '/a/'), new Map(), 'redirect');
  assert.equal(follower.quick, 1);
  assert.equal(follower.table!.tracing, after.tracing);
  follower.take(of('', '/a/'), new Map(), 'redirect');
  assert.deepEqual(follower.table!.tracing, noTracingRules);
});

test('a name that stands twice is complained of as long as it does', () => {
  const filesWith = (prefix: string): FileContent[] => [
    ...filesOf({ ...start, routes: [[route({ prefix })], [], []] }),
    { file: 'twice.yaml', text: routeText(0, [route({ prefix: '/twice/' })]), problem: undefined },
  ];
  afterFiles('redirect', filesWith('/'), filesWith('/a/'), filesWith('/b/'));
});

test('policies are followed, one that cannot be evaluated too, and the same ones stay the same', () => {
  const follower = after('redirect', start, { ...start, peers: peers[5]! });
  const [policy] = follower.table!.security.authorization.allow;
  assert.equal(policy!.name, 'default/who');
  const { authorization } = follower.table!.security;
  const routes = [[route({ prefix: '/x/' })], [], []];
  follower.take(filesOf({ ...start, peers: peers[5]!, routes }), new Map(), 'redirect');
  assert.equal(follower.table!.security.authorization, authorization);
  const files = filesOf({ ...start, peers: peers[6]! });
  follower.take(files, new Map(), 'redirect');
  assert.equal(follower.table!.security.authorization.deny.length, 1);
});

test('a PeerAuthentication that ends mutual TLS takes the identities of endpoints along', () => {
  const identities = (said: string) => {
    const follower = after('redirect', start, { ...start, peers: said });
    const { clusters, security } = follower.table!;
    const all = clusters.flatMap(({ endpoints }) => endpoints.map(({ identity }) => identity));
    return { mode: security.mode, all: new Set(all) };
  };
  const proven = new Set(['spiffe://cluster.local/ns/default/sa/default']);
  assert.deepEqual(identities(peers[1]!), { mode: 'strict', all: proven });
  assert.deepEqual(identities(peers[2]!), { mode: 'disable', all: new Set(['']) });
  assert.deepEqual(identities(peers[3]!).all, new Set([...proven, '']));
});
