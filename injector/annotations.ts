/**
 * Every label and annotation of `tracecar.dev/`: names, values, defaults and what they do.
 *
 * One table, from which the reader, the hint for a misspelt name and docs/annotations.md are made. A
 * value becomes a number, a prefix or a checked word here, or is a problem in one sentence that
 * names the key; nothing of it reaches a pod as text that was not checked.
 */

import { shown } from '../src/base/port-list.ts';
import { didYouMean } from '../src/config/syntax/nearest-name.ts';
import type { SpansMode } from '../src/telemetry/settings/tracing-choices.ts';
import {
  amountOf as bytesOf,
  readCpu,
  readDrainSeconds,
  readHistory,
  readMemory,
  readName,
  readNames,
  readPorts,
  readPrefixes,
  readSampler,
  readUrl,
  readWord,
  type Sampler,
  smallerQuantity,
  type ValueResult,
} from './annotation-values.ts';
import { type BackendName, backendNames } from './init/backend.ts';
import type { TextMap } from './pod.ts';

export const keyPrefix = 'tracecar.dev/';
export const injectKey = 'tracecar.dev/inject';
export const statusKey = 'tracecar.dev/status';

/** A longer value is refused unread: the API server allows 256 KiB of annotations. */
export const valueCharsMax = 16_384;

export interface Annotation {
  readonly key: string;
  /** What stands for the value in documentation. */
  readonly value: string;
  /** What holds without it; empty when that is nothing. */
  readonly otherwise: string;
  /** A sentence or two for users. */
  readonly help: string;
  /** Also read as a label of the pod or namespace. */
  readonly isLabel?: boolean;
  /** Written by Tracecar, never read as a wish. */
  readonly isWritten?: boolean;
}

export const annotations: readonly Annotation[] = [
  {
    key: injectKey,
    value: 'enabled|disabled',
    otherwise: 'as the namespace says; without that, disabled',
    help: 'Whether pods get a sidecar. On a namespace it holds for all pods created later; on a pod (or in the template of a Deployment) it overrides the namespace. A label wins over an annotation.',
    isLabel: true,
  },
  {
    key: 'tracecar.dev/propagation',
    value: 'node|off',
    otherwise: 'off, or what `tracecar install --propagation` says',
    help: 'node: application containers get the preload that copies trace headers from inbound to outbound requests of Node.js (`NODE_OPTIONS=--require ...`; an existing value is kept).',
  },
  {
    key: 'tracecar.dev/config',
    value: 'NAME',
    otherwise: 'tracecar-config',
    help: "ConfigMap of the pod's namespace whose files configure the sidecar. It may be missing; edits are followed while the pod runs.",
  },
  {
    key: 'tracecar.dev/tls-secret',
    value: 'NAME,NAME',
    otherwise: '',
    help: "Secrets of the pod's namespace, mounted at `/etc/tracecar/tls/NAME` for `Sidecar.ingress[].tls`. The pod waits until they exist.",
  },
  {
    key: 'tracecar.dev/identity',
    value: 'on|off',
    otherwise: 'on, unless `tracecar install --identity off` says there is no authority',
    help: 'on: the sidecar has an identity of its own, speaks mutual TLS with other sidecars, and the pod is labelled `security.istio.io/tlsMode: istio`. off: nothing of that; everything is sent and taken as it is.',
  },
  {
    key: 'tracecar.dev/merge-metrics',
    value: 'on|off',
    otherwise: 'on',
    help: 'on: a pod with `prometheus.io/scrape: "true"` is scraped at port 15020, where the sidecar shows the application\'s metrics (of `prometheus.io/port` and `prometheus.io/path`) and its own; so they can be had where only mutual TLS is taken. off: the annotations stay as they are.',
  },
  {
    key: 'tracecar.dev/skip-inbound-ports',
    value: 'PORTS',
    otherwise: '',
    help: 'Ports of the pod that callers reach directly, past the sidecar: `22,9000-9010`. Callers send plain text there, and neither PeerAuthentication nor AuthorizationPolicy holds for them.',
  },
  {
    key: 'tracecar.dev/skip-outbound-ports',
    value: 'PORTS',
    otherwise: '',
    help: 'Ports elsewhere that the pod reaches directly, past the sidecar: `5432,6379`.',
  },
  {
    key: 'tracecar.dev/skip-outbound-cidrs',
    value: 'CIDRS',
    otherwise: '',
    help: 'Addresses that the pod reaches directly, past the sidecar: `10.0.0.0/8,fd00::/8`.',
  },
  {
    key: 'tracecar.dev/redirect-backend',
    value: 'nft|iptables',
    otherwise: 'nft',
    help: 'What loads the redirection rules: iptables is for nodes whose kernel has no nf_tables; `tracecar-init` then has the capability NET_RAW too, which the legacy programs need.',
  },
  {
    key: 'tracecar.dev/sampler',
    value: 'SAMPLER',
    otherwise: '0.01',
    help: "Share of new traces that are exported, 0 to 1 (a caller's decision is followed), or an OpenTelemetry sampler: `always_on`, `always_off`, `parentbased_always_on`, `parentbased_always_off`, `traceidratio=0.1`, `parentbased_traceidratio=0.1`.",
  },
  {
    key: 'tracecar.dev/spans',
    value: 'both|server|client',
    otherwise: 'both',
    help: 'Which kinds of spans are exported, for those who pay per span: server (inbound requests) or client (outbound ones). All are counted and logged.',
  },
  {
    key: 'tracecar.dev/history',
    value: 'MEMORY',
    otherwise: '8Mi',
    help: 'Memory of the sidecar for the records of the last 30 s, from which a trace is made whole that turns out to matter: 256Ki to 64Mi, at most a quarter of `proxy-memory`; `0`: traces are kept from the moment on that they matter.',
  },
  {
    key: 'tracecar.dev/otlp-endpoint',
    value: 'URL',
    otherwise:
      'what `tracecar install` says: the collector or viewer that it names, else no spans are exported',
    help: 'Where the sidecar sends spans (OTLP over HTTP, the base URL without `/v1/traces`).',
  },
  {
    key: 'tracecar.dev/proxy-cpu',
    value: 'CPU',
    otherwise: '100m',
    help: 'CPU request of the sidecar, 1m to 64: `250m`, `1.5`.',
  },
  {
    key: 'tracecar.dev/proxy-cpu-limit',
    value: 'CPU',
    otherwise: 'no limit, because throttling is latency',
    help: 'CPU limit of the sidecar and of `tracecar-init` (which has 1 without it), for namespaces whose ResourceQuota or LimitRange asks for one. Not below `proxy-cpu`, whose default it lowers.',
  },
  {
    key: 'tracecar.dev/proxy-memory',
    value: 'MEMORY',
    otherwise: '256Mi',
    help: 'Memory limit of the sidecar, 64Mi to 64Gi; the request is the limit, at most 96Mi. `tracecar-init` has the same limit, at most 128Mi.',
  },
  {
    key: 'tracecar.dev/drain-seconds',
    value: 'SECONDS',
    otherwise: '25',
    help: "How long requests under way may take after the application has ended, 0 to 3600. Keep it below the pod's `terminationGracePeriodSeconds`: a warning says when it is not.",
  },
  {
    key: statusKey,
    value: 'JSON',
    otherwise: '',
    help: 'What was injected: version, hash, names of containers, volumes and annotations.',
    isWritten: true,
  },
];

/** The wishes of one pod, its own annotations over those of its namespace. */
export interface InjectionOptions {
  readonly propagation: 'node' | 'off';
  readonly configMap: string;
  readonly tlsSecrets: readonly string[];
  readonly identity: 'on' | 'off';
  readonly mergeMetrics: 'on' | 'off';
  /** Canonical lists, `22,9000-9010` and `10.0.0.0/8`; empty for none. */
  readonly skipInboundPorts: string;
  readonly skipOutboundPorts: string;
  readonly skipOutboundCidrs: string;
  readonly redirectBackend: BackendName;
  /** Undefined: the sidecar's own default. */
  readonly sampler: Sampler | undefined;
  readonly spans: SpansMode;
  /** As `--history` takes it; empty: the sidecar's own default. */
  readonly history: string;
  /** Empty: no spans are exported. */
  readonly otlpEndpoint: string;
  /** Quantities as Kubernetes prints them. */
  readonly cpuRequest: string;
  /** Empty for none; never below the request. */
  readonly cpuLimit: string;
  readonly memoryRequest: string;
  readonly memoryLimit: string;
  readonly drainSeconds: number;
}

export interface OptionDefaults {
  /** Absent: there is no authority, and a pod that asks for an identity is refused. */
  readonly identity?: object | undefined;
  readonly propagation: 'node' | 'off';
  readonly otlpEndpoint: string;
}

export type OptionsResult =
  | { readonly options: InjectionOptions }
  /** A sentence about the first mistake, and one about each. */
  | { readonly problem: string; readonly problems: readonly string[] };

/** Reads all `tracecar.dev/` annotations of a pod and its namespace; an unknown one is a problem. */
export function readOptions(
  pod: TextMap,
  namespace: TextMap,
  defaults: OptionDefaults,
): OptionsResult {
  const problems = [
    ...unknownAnnotations(pod, 'pod'),
    ...unknownAnnotations(namespace, 'namespace'),
  ];
  const read = <T>(name: string, reader: (text: string) => ValueResult<T>, otherwise: T): T => {
    const key = keyPrefix + name;
    const source = Object.hasOwn(pod, key) ? pod : namespace;
    if (!Object.hasOwn(source, key)) return otherwise;
    const text = source[key]!;
    const result =
      text.length > valueCharsMax
        ? { problem: `is longer than ${valueCharsMax} characters` }
        : reader(text);
    if ('value' in result) return result.value;
    const where = source === pod ? 'pod' : 'namespace';
    problems.push(`annotation ${key} of the ${where} ${result.problem}`);
    return otherwise;
  };
  const cpuLimit = read('proxy-cpu-limit', readCpu, '');
  const cpuUsual = cpuLimit === '' ? '100m' : smallerQuantity('100m', cpuLimit);
  const cpuRequest = read('proxy-cpu', readCpu, cpuUsual);
  if (
    cpuLimit !== '' &&
    smallerQuantity(cpuLimit, cpuRequest) === cpuLimit &&
    cpuLimit !== cpuRequest
  ) {
    problems.push(
      `${keyPrefix}proxy-cpu-limit is ${cpuLimit}, less than ${keyPrefix}proxy-cpu, which is ${cpuRequest}`,
    );
  }
  const identity = read('identity', readWord<'on' | 'off'>(['on', 'off']), undefined);
  if (identity === 'on' && defaults.identity === undefined) {
    problems.push(
      `${keyPrefix}identity is on, but there is no authority that could give one: \`tracecar install\` without --identity off brings it`,
    );
  }
  const memory = read('proxy-memory', readMemory, { limit: '256Mi', request: '96Mi' });
  const history = read('history', readHistory, { flag: '', bytes: 0 });
  if (history.bytes > bytesOf(memory.limit) / 4) {
    problems.push(
      `${keyPrefix}history is more than a quarter of ${keyPrefix}proxy-memory, which is ${memory.limit}: the sidecar would be killed for it`,
    );
  }
  const options: InjectionOptions = {
    propagation: read(
      'propagation',
      readWord<'node' | 'off'>(['node', 'off']),
      defaults.propagation,
    ),
    configMap: read('config', readName, 'tracecar-config'),
    tlsSecrets: read('tls-secret', readNames, []),
    identity: identity ?? (defaults.identity === undefined ? 'off' : 'on'),
    mergeMetrics: read('merge-metrics', readWord<'on' | 'off'>(['on', 'off']), 'on'),
    skipInboundPorts: read('skip-inbound-ports', readPorts, ''),
    skipOutboundPorts: read('skip-outbound-ports', readPorts, ''),
    skipOutboundCidrs: read('skip-outbound-cidrs', readPrefixes, ''),
    redirectBackend: read('redirect-backend', readWord(backendNames), 'nft'),
    sampler: read<Sampler | undefined>('sampler', readSampler, undefined),
    spans: read('spans', readWord<SpansMode>(['both', 'server', 'client']), 'both'),
    history: history.flag,
    otlpEndpoint: read('otlp-endpoint', readUrl, defaults.otlpEndpoint),
    cpuRequest,
    cpuLimit,
    memoryRequest: memory.request,
    memoryLimit: memory.limit,
    drainSeconds: read('drain-seconds', readDrainSeconds, 25),
  };
  return problems.length === 0 ? { options } : { problem: problems[0]!, problems };
}

/** Everything that is wrong with a namespace's labels and annotations of ours, a sentence each. */
export function namespaceProblems(labels: TextMap, annotations: TextMap): string[] {
  const isOurs = (key: string) => key.startsWith(keyPrefix);
  if (!Object.keys(labels).some(isOurs) && !Object.keys(annotations).some(isOurs)) return [];
  const read = readOptions({}, annotations, {
    identity: {},
    propagation: 'off',
    otlpEndpoint: '',
  });
  return [
    ...wrongWords(labels, 'label'),
    ...wrongWords(annotations, 'annotation'),
    ...unknownLabels(labels, 'namespace'),
    ...('problems' in read ? read.problems : []),
  ];
}

function wrongWords(map: TextMap, kind: 'label' | 'annotation'): string[] {
  if (!Object.hasOwn(map, injectKey)) return [];
  const result = readWord(['enabled', 'disabled'])(map[injectKey]!);
  return 'value' in result ? [] : [`${kind} ${injectKey} of the namespace ${result.problem}`];
}

/** Labels with our prefix that mean nothing, misspelt or meant as annotations; a sentence each. */
export function unknownLabels(labels: TextMap, where: 'pod' | 'namespace'): string[] {
  const known = annotations.filter(({ isLabel }) => isLabel === true).map(({ key }) => key);
  return unknownKeys(labels, known).map((key) => {
    const isAnnotation = annotations.some((each) => each.key === key && each.isWritten !== true);
    return isAnnotation
      ? `label ${key} of the ${where} is read as an annotation only; write it there`
      : `label ${shown(key)} of the ${where} is unknown; ${hintFor(key, known)}`;
  });
}

/** Annotations with our prefix that are not in the table; a sentence each. */
export function unknownAnnotations(map: TextMap, where: 'pod' | 'namespace'): string[] {
  const known = annotations.map(({ key }) => key);
  return unknownKeys(map, known).map(
    (key) => `annotation ${shown(key)} of the ${where} is unknown; ${hintFor(key, known)}`,
  );
}

/** A few are enough to say; looking for what each was meant to be costs. */
const unknownMax = 5;

function unknownKeys(map: TextMap, known: readonly string[]): string[] {
  const unknown: string[] = [];
  for (const key of Object.keys(map)) {
    if (key.startsWith(keyPrefix) && !known.includes(key)) unknown.push(key);
    if (unknown.length === unknownMax) break;
  }
  return unknown;
}

function hintFor(key: string, known: readonly string[]): string {
  const all = 'docs/annotations.md has all';
  // A long key is no misspelling, and comparing it would cost.
  return key.length > 63 ? all : didYouMean(key, known, all).replace(/^D/, 'd');
}

/** The text of docs/annotations.md. */
export function annotationsPage(): string {
  const rows = annotations.map(({ key, value, otherwise, help, isLabel, isWritten }) => {
    const kind =
      isWritten === true ? 'written' : isLabel === true ? 'label, annotation' : 'annotation';
    const cells = [`\`${key}\``, `\`${value}\``, otherwise, kind, help];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return `# Labels and annotations

<!-- Made from injector/annotations.ts: UPDATE_GOLDEN=1 node --test test/injector/patch/annotations.test.ts -->

All of them may stand on a namespace or on a pod (in the template of a Deployment, under
\`spec.template.metadata\`); the pod wins. They are read when a pod is created: restart what runs
already. A name or a value that is not in this table is refused with the reason, never ignored: when
it is written on a namespace, and when a pod that has it is created in an enabled namespace or says
\`tracecar.dev/inject\` itself (nobody asks the injector about other pods). What a namespace had before
Tracecar was installed is a warning at its next change and a line in the injector's log.

| key | value | without it | as | what it does |
| --- | --- | --- | --- | --- |
${rows.join('\n')}

Annotations of \`resource.opentelemetry.io/\` on a pod become attributes of its spans:
\`resource.opentelemetry.io/service.name: shop\` names the service. Without it the name is that of the
Deployment, StatefulSet, DaemonSet, CronJob, Job or pod, whichever comes first.

## Traps

- An image that sets \`NODE_OPTIONS\` itself (\`ENV NODE_OPTIONS=...\`) loses it under
  \`propagation: node\`, because a pod's variable replaces the image's and the injector cannot see
  images. Write the value into the container's \`env\`: then it is kept beside ours.
- A container whose \`NODE_OPTIONS\` comes from \`valueFrom\`, or may come from \`envFrom\`, is left as it
  is, with a warning: its value is not known when the pod is created.
- An application that runs as user 1337 is refused: its connections would go past the sidecar.
- Ports 15000, 15001, 15006, 15020, 15021, 15022, 15053 and 15090 belong to the sidecar.
- A namespace that enforces Pod Security \`baseline\` or \`restricted\` refuses injected pods, because
  \`tracecar-init\` needs the capability NET_ADMIN to write the pod's redirection rules.
`;
}
