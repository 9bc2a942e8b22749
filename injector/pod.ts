/**
 * Pod: the parts of a Kubernetes pod that injection reads or writes, and the check that a value has
 * them in the right shape.
 *
 * Everything else of a pod is kept as it is: the types are open, and no function here rebuilds a pod.
 * A pod template (metadata and spec of a Deployment's template) is a Pod in this sense too.
 */

/** A pod or a pod template. Lists and maps may be absent, null or empty; all three are the same. */
export interface Pod {
  readonly metadata?: PodMetadata | null;
  readonly spec: PodSpec;
  readonly [other: string]: unknown;
}

export type TextMap = Readonly<Record<string, string>>;

export interface PodMetadata {
  readonly name?: string | null;
  readonly generateName?: string | null;
  readonly labels?: TextMap | null;
  readonly annotations?: TextMap | null;
  readonly ownerReferences?: readonly OwnerReference[] | null;
  readonly [other: string]: unknown;
}

export interface OwnerReference {
  readonly kind?: string | null;
  readonly name?: string | null;
  readonly controller?: boolean | null;
  readonly [other: string]: unknown;
}

export interface PodSpec {
  readonly containers?: readonly Container[] | null;
  readonly initContainers?: readonly Container[] | null;
  readonly volumes?: readonly Volume[] | null;
  readonly hostNetwork?: boolean | null;
  readonly dnsPolicy?: string | null;
  readonly terminationGracePeriodSeconds?: number | null;
  readonly os?: { readonly name?: string | null } | null;
  readonly securityContext?: SecurityContext | null;
  readonly [other: string]: unknown;
}

export interface Container {
  readonly name: string;
  readonly image?: string | null;
  readonly restartPolicy?: string | null;
  readonly env?: readonly EnvVariable[] | null;
  readonly envFrom?: readonly EnvSource[] | null;
  readonly ports?: readonly ContainerPort[] | null;
  readonly volumeMounts?: readonly VolumeMount[] | null;
  readonly securityContext?: SecurityContext | null;
  readonly startupProbe?: Probe | null;
  readonly livenessProbe?: Probe | null;
  readonly readinessProbe?: Probe | null;
  readonly lifecycle?: Lifecycle | null;
  readonly [other: string]: unknown;
}

/** Hooks of a container; each has at most one action, as a probe has. */
export interface Lifecycle {
  readonly postStart?: Probe | null;
  readonly preStop?: Probe | null;
  readonly [other: string]: unknown;
}

export interface EnvVariable {
  readonly name: string;
  readonly value?: string | null;
  readonly valueFrom?: object | null;
}

export interface EnvSource {
  readonly prefix?: string | null;
  readonly [other: string]: unknown;
}

export interface ContainerPort {
  readonly name?: string | null;
  readonly containerPort?: number | null;
  readonly protocol?: string | null;
  readonly [other: string]: unknown;
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath?: string | null;
  readonly [other: string]: unknown;
}

export interface Volume {
  readonly name: string;
  readonly [other: string]: unknown;
}

export interface SecurityContext {
  readonly runAsUser?: number | null;
  readonly [other: string]: unknown;
}

/** One probe: at most one of its actions is present. Ports are numbers or names of ports. */
export interface Probe {
  readonly httpGet?: ProbeAction | null;
  readonly tcpSocket?: ProbeAction | null;
  readonly grpc?: ProbeAction | null;
  readonly timeoutSeconds?: number | null;
  readonly [other: string]: unknown;
}

export interface ProbeAction {
  readonly port?: number | string | null;
  readonly host?: string | null;
  readonly [other: string]: unknown;
}

/** What injection knows of the namespace that a pod is created in. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: TextMap;
  readonly annotations: TextMap;
}

export type PodResult = { readonly pod: Pod } | { readonly problem: string };

/**
 * A value from outside as a Pod. The problem names the first field that has a wrong type, such as
 * `spec.containers[0].env is not a list`; fields that injection never touches are not looked at.
 */
export function readPod(value: unknown): PodResult {
  const problem = podShape(value, '');
  return problem === undefined ? { pod: value as Pod } : { problem };
}

/** What is wrong with a value at a path; undefined when nothing is. */
type Shape = (value: unknown, path: string) => string | undefined;

const isAbsent = (value: unknown) => value === undefined || value === null;

function scalar(type: 'string' | 'number' | 'boolean', what: string): Shape {
  return (value, path) =>
    isAbsent(value) || typeof value === type ? undefined : `${path} is not ${what}`;
}

const text = scalar('string', 'a text');
const truth = scalar('boolean', 'true or false');
const number = scalar('number', 'a number');

const name: Shape = (value, path) =>
  typeof value === 'string' && value !== '' ? undefined : `${path} is missing or not a text`;

const portNumberOrName: Shape = (value, path) =>
  isAbsent(value) || typeof value === 'string' || typeof value === 'number'
    ? undefined
    : `${path} is not a port`;

const textMap: Shape = (value, path) => {
  if (isAbsent(value)) return undefined;
  if (!isObject(value)) return `${path} is not a mapping`;
  const wrong = Object.keys(value).find((key) => typeof value[key] !== 'string');
  return wrong === undefined ? undefined : `${path}.${wrong} is not a text`;
};

function listOf(item: Shape): Shape {
  return (value, path) => {
    if (isAbsent(value)) return undefined;
    if (!Array.isArray(value)) return `${path} is not a list`;
    for (const [index, each] of value.entries()) {
      const problem = isAbsent(each)
        ? `${path}[${index}] is empty`
        : item(each, `${path}[${index}]`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

function objectOf(fields: Readonly<Record<string, Shape>>, isRequired = false): Shape {
  const shapes = Object.entries(fields);
  return (value, path) => {
    if (!isRequired && isAbsent(value)) return undefined;
    if (!isObject(value)) return `${path === '' ? 'the pod' : path} is not a mapping`;
    for (const [key, shape] of shapes) {
      const problem = shape(value[key], path === '' ? key : `${path}.${key}`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

/** True for a JSON object: neither null nor a list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const action = objectOf({ port: portNumberOrName, host: text });
const probe = objectOf({
  httpGet: action,
  tcpSocket: action,
  grpc: action,
  timeoutSeconds: number,
});
const securityContext = objectOf({ runAsUser: number });

const container = objectOf({
  name,
  image: text,
  restartPolicy: text,
  env: listOf(objectOf({ name, value: text, valueFrom: objectOf({}) })),
  envFrom: listOf(objectOf({ prefix: text })),
  ports: listOf(objectOf({ name: text, containerPort: number, protocol: text })),
  volumeMounts: listOf(objectOf({ name, mountPath: text })),
  securityContext,
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  lifecycle: objectOf({ postStart: probe, preStop: probe }),
});

const podShape = objectOf(
  {
    metadata: objectOf({
      name: text,
      generateName: text,
      labels: textMap,
      annotations: textMap,
      ownerReferences: listOf(objectOf({ kind: text, name: text, controller: truth })),
    }),
    spec: objectOf(
      {
        containers: listOf(container),
        initContainers: listOf(container),
        volumes: listOf(objectOf({ name })),
        hostNetwork: truth,
        dnsPolicy: text,
        terminationGracePeriodSeconds: number,
        os: objectOf({ name: text }),
        securityContext,
      },
      true,
    ),
  },
  true,
);
