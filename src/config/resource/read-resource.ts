/**
 * Read resource: one YAML document to one resource, or those of a List, or complaints.
 *
 * The head (apiVersion, kind, metadata) decides which schema reads `spec`. Mesh resources of kinds that
 * are not read yet are errors, because leaving out, say, an AuthorizationPolicy would open what it
 * closes; resources of Kubernetes that are nothing of the mesh are left alone with a warning. Of those
 * that are, only the fields that mean something here are looked at.
 */

import type { ResourceName } from '../../model/diagnostic.ts';
import { type Complaints, noResource, type Place } from '../syntax/complaints.ts';
import { Cursor, type CursorEntry, DocumentReading } from '../syntax/cursor.ts';
import { didYouMean, listOfNames } from '../syntax/nearest-name.ts';
import { anyList, complainOfType, text } from '../syntax/schema.ts';
import type { YamlDocument } from '../syntax/yaml-file.ts';
import { destinationRuleSpec } from './destination-rule.ts';
import { gatewaySpec } from './gateway.ts';
import { secretSpec } from './kube-secret.ts';
import { endpointSliceSpec, kubeServiceSpec, podSpec } from './kube-service.ts';
import { peerAuthenticationSpec, unreadPeers } from './peer-authentication.ts';
import { isPolicyKind, type PolicyKind, readPolicy } from './read-policy.ts';
import type { Resource } from './resource.ts';
import { serviceEntrySpec } from './service-entry.ts';
import { sidecarSpec } from './sidecar.ts';
import { telemetrySpec } from './telemetry-resource.ts';
import { isDnsLabel, isDnsName } from './values.ts';
import { virtualServiceSpec } from './virtual-service.ts';
import { workloadEntrySpec } from './workload-entry.ts';

interface Group {
  readonly name: string;
  readonly versions: readonly string[];
  readonly kinds: readonly MeshKind[];
  /** Kinds that it has, and that are not read yet. */
  readonly later: readonly string[];
}

const groups: readonly Group[] = [
  {
    name: 'networking.istio.io',
    versions: ['v1', 'v1beta1', 'v1alpha3'],
    kinds: [
      'Sidecar',
      'ServiceEntry',
      'VirtualService',
      'DestinationRule',
      'WorkloadEntry',
      'Gateway',
    ],
    later: ['WorkloadGroup', 'ProxyConfig'],
  },
  {
    name: 'telemetry.istio.io',
    versions: ['v1', 'v1alpha1'],
    kinds: ['Telemetry'],
    later: [],
  },
  {
    name: 'security.istio.io',
    versions: ['v1', 'v1beta1'],
    kinds: ['PeerAuthentication', 'AuthorizationPolicy', 'RequestAuthentication'],
    later: [],
  },
];
/** Kinds that mean something to Envoy only, and what they do there. */
const kindsOfEnvoy: ReadonlyMap<string, string> = new Map([
  ['networking.istio.io EnvoyFilter', "changes Envoy's own configuration"],
  ['extensions.istio.io WasmPlugin', 'runs code inside Envoy'],
]);
/** Kinds of Kubernetes that are read, by what `apiVersion` must say. */
const kubeKinds: ReadonlyMap<string, KubeKind> = new Map([
  ['v1 Service', 'Service'],
  ['v1 Pod', 'Pod'],
  ['v1 Secret', 'Secret'],
  ['discovery.k8s.io/v1 EndpointSlice', 'EndpointSlice'],
]);
const readKinds = [...groups.flatMap(({ kinds }) => kinds), ...kubeKinds.values()];
const kindsRead = `The kinds that are read now are ${readKinds.join(', ')}.`;

type MeshKind =
  | 'Sidecar'
  | 'ServiceEntry'
  | 'VirtualService'
  | 'DestinationRule'
  | 'WorkloadEntry'
  | 'Gateway'
  | 'Telemetry'
  | 'PeerAuthentication'
  | PolicyKind;
type KubeKind = 'Service' | 'Pod' | 'Secret' | 'EndpointSlice';

/**
 * The resources of a document that can be used: one, those of a `List` as kubectl prints it, or none.
 *
 * @param namespace holds where a resource names none, as kubectl's does
 */
export function readDocument(
  document: YamlDocument,
  complaints: Complaints,
  namespace: string,
): readonly Resource[] {
  const reading = new DocumentReading(document, noResource, complaints);
  const root = new Cursor(reading, document.root, '', 0);
  const fields = new Map(root.entries()?.map((entry) => [entry.key, entry]));
  const isList =
    peekText(fields.get('kind')) === 'List' && peekText(fields.get('apiVersion')) === 'v1';
  const items = isList ? readItems(root, fields) : [root];
  return items.map((item) => readResource(item, namespace)).filter((each) => each !== undefined);
}

function readItems(root: Cursor, fields: Fields): readonly Cursor[] {
  const items = fields.get('items')?.value;
  if (items !== undefined && !items.isNull) return anyList((item) => item)(items) ?? [];
  complainOfMissing(root, 'items');
  return [];
}

function readResource(root: Cursor, namespace: string): Resource | undefined {
  const { reading } = root;
  const { complaints } = reading;
  const errorsBefore = complaints.errorCount;
  reading.resource = noResource;
  const entries = root.entries();
  if (entries === undefined) {
    const message = `Expected a resource, found ${root.describe()}`;
    const fix = 'A resource has apiVersion, kind, metadata and spec.';
    return root.complain('not-a-resource', message, fix);
  }
  const fields = new Map(entries.map((entry) => [entry.key, entry]));
  reading.resource = peekName(fields, namespace);
  const kind = readKind(root, fields);
  if (kind === undefined) return undefined;
  const head = readMetadata(root, fields, namespace);
  reading.resource = { kind, ...head };
  const isSound = () => complaints.errorCount === errorsBefore;
  if (isKubeKind(kind)) return readKubeSpec(kind, head, root, isSound);
  checkTopFields(reading, entries);
  const spec = fields.get('spec')?.value;
  if (spec === undefined || spec.isNull) {
    complainOfMissing(root, 'spec');
    return isPolicyKind(kind) ? readPolicy(kind, head, root, undefined, isSound) : undefined;
  }
  if (isPolicyKind(kind)) return readPolicy(kind, head, root, spec, isSound);
  return readSpec(kind, head, spec, root.at, isSound);
}

/** Kind and name as far as they are text, so that complaints about the head can name them. */
function peekName(fields: Fields, otherwise: string): ResourceName {
  const metadata = new Map(
    fields
      .get('metadata')
      ?.value.entries()
      ?.map((entry) => [entry.key, entry]),
  );
  return {
    kind: peekText(fields.get('kind')),
    namespace: peekText(metadata.get('namespace')) || otherwise,
    name: peekText(metadata.get('name')),
  };
}

function peekText(entry: CursorEntry | undefined): string {
  const value = entry?.value.scalar();
  return typeof value === 'string' ? value : '';
}

interface Head {
  readonly namespace: string;
  readonly name: string;
}

function isKubeKind(kind: MeshKind | KubeKind): kind is KubeKind {
  return ['Service', 'Pod', 'Secret', 'EndpointSlice'].includes(kind);
}

function readKubeSpec(
  kind: KubeKind,
  head: Head,
  root: Cursor,
  isSound: () => boolean,
): Resource | undefined {
  const { at } = root;
  switch (kind) {
    case 'Service': {
      const spec = kubeServiceSpec(root);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'Pod': {
      const spec = podSpec(root);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'Secret': {
      const spec = secretSpec(root);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'EndpointSlice': {
      const spec = endpointSliceSpec(root);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
  }
}

function readSpec(
  kind: Exclude<MeshKind, PolicyKind>,
  head: Head,
  cursor: Cursor,
  at: Place,
  isSound: () => boolean,
): Resource | undefined {
  switch (kind) {
    case 'Sidecar': {
      const spec = sidecarSpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'ServiceEntry': {
      const spec = serviceEntrySpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'VirtualService': {
      const spec = virtualServiceSpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'DestinationRule': {
      const spec = destinationRuleSpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'WorkloadEntry': {
      const spec = workloadEntrySpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'Gateway': {
      const spec = gatewaySpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'Telemetry': {
      const spec = telemetrySpec(cursor);
      return spec && { kind, ...head, spec, at, isSound: isSound() };
    }
    case 'PeerAuthentication': {
      const spec = peerAuthenticationSpec(cursor) ?? unreadPeers(cursor);
      return { kind, ...head, spec, at, isSound: isSound() };
    }
  }
}

type Fields = ReadonlyMap<string, CursorEntry>;

function readKind(root: Cursor, fields: Fields): MeshKind | KubeKind | undefined {
  const version = readText(root, fields, 'apiVersion');
  const kind = readText(root, fields, 'kind');
  if (version === undefined || kind === undefined) return undefined;
  const kindCursor = fields.get('kind')!.value;
  const versionCursor = fields.get('apiVersion')!.value;
  const [group = '', number] = version.split('/', 2);
  const ofKubernetes = kubeKinds.get(`${version} ${kind}`);
  if (ofKubernetes !== undefined) return ofKubernetes;
  const inEnvoy = kindsOfEnvoy.get(`${group} ${kind}`);
  if (inEnvoy !== undefined) return complainOfEnvoy(kindCursor, inEnvoy);
  const home = groups.find(({ kinds }) => kinds.some((each) => each === kind));
  const named = groups.find(({ name }) => name === group);
  const isMisplaced = home !== undefined && home !== named;
  if (named === undefined || number === undefined || isMisplaced) {
    if (home !== undefined && !version.includes('.k8s.')) {
      const message = `\`${version}\` has no ${kind}`;
      versionCursor.complain('version-unknown', message, `Write \`${home.name}/v1\`.`);
      return policyOr(kind, group);
    }
    return complainOfOtherGroup(kindCursor, group, kind);
  }
  const { name, versions, kinds, later } = named;
  if (!versions.includes(number)) {
    const message = `There is no version \`${number}\` of ${name}`;
    const fix = `Write ${listOfNames(versions.map((each) => `${name}/${each}`))}.`;
    versionCursor.complain('version-unknown', message, fix);
    return policyOr(kind, group);
  }
  const known = kinds.find((each) => each === kind);
  if (known !== undefined) return known;
  if (later.includes(kind)) {
    const message = `${kind} is not implemented yet`;
    return kindCursor.complain('kind-not-implemented', message, kindsRead);
  }
  const fix = didYouMean(kind, [...kinds, ...later], kindsRead);
  return kindCursor.complain('kind-unknown', `There is no kind \`${kind}\` in ${name}`, fix);
}

/** By name, because what it does may be what keeps somebody out. */
function complainOfEnvoy(cursor: Cursor, does: string): undefined {
  const { kind, namespace, name } = cursor.reading.resource;
  const message = `${kind} ${namespace}/${name} ${does}, and there is no Envoy: nothing does what it says`;
  const fix =
    'Remove it; VirtualService, AuthorizationPolicy and Telemetry say most of what it is used for.';
  return cursor.complain('kind-not-implemented', message, fix);
}

/** A policy of a version that is not known is still one: left out, it would let everybody in. */
function policyOr(kind: string, group: string): PolicyKind | 'PeerAuthentication' | undefined {
  const isClosing = isPolicyKind(kind) || kind === 'PeerAuthentication';
  return isClosing && group.endsWith('.istio.io') ? kind : undefined;
}

function complainOfOtherGroup(cursor: Cursor, group: string, kind: string): undefined {
  if (group === 'discovery.k8s.io' && kind === 'EndpointSlice') {
    const message = 'Only version `v1` of EndpointSlice is read';
    return cursor.complain('version-unknown', message, 'Write `discovery.k8s.io/v1`.');
  }
  const isMeshGroup = group.endsWith('.istio.io') || group === 'gateway.networking.k8s.io';
  if (isMeshGroup) {
    const message = `${kind} of ${group} is not implemented yet`;
    return cursor.complain('kind-not-implemented', message, kindsRead);
  }
  if (kind === 'List') {
    const fix = 'Write its items into one such List, or as documents separated by `---`.';
    const message = 'Only a List of `v1` is read, and none within another';
    return cursor.complain('kind-not-implemented', message, fix);
  }
  const message = `${kind} (${group}) is nothing of the mesh and is left alone`;
  return cursor.complain('kind-ignored', message, kindsRead);
}

/** Namespace and name; bad ones are complained of and read as far as they go. */
function readMetadata(root: Cursor, fields: Fields, otherwise: string): Head {
  const metadata = fields.get('metadata')?.value;
  if (metadata === undefined || metadata.isNull) {
    complainOfMissing(root, 'metadata');
    return { namespace: otherwise, name: '' };
  }
  const entries = metadata.entries();
  if (entries === undefined) {
    complainOfType(metadata, 'a mapping of fields');
    return { namespace: otherwise, name: '' };
  }
  const inside = new Map(entries.map((entry) => [entry.key, entry]));
  const name = readText(metadata, inside, 'name');
  const namespaceCursor = inside.get('namespace')?.value;
  const isNamed = namespaceCursor !== undefined && !namespaceCursor.isNull;
  const namespace = isNamed ? text(namespaceCursor) : otherwise;
  if (name !== undefined && !isDnsName(name)) {
    const fix = 'Write lower-case letters, digits, `-` and `.`.';
    inside.get('name')!.value.complain('bad-name', `\`${name}\` is not a resource's name`, fix);
  }
  if (namespace !== undefined && !isDnsLabel(namespace)) {
    const fix = 'Write lower-case letters, digits and `-`.';
    namespaceCursor?.complain('bad-name', `\`${namespace}\` is not a namespace`, fix);
  }
  return { namespace: namespace ?? otherwise, name: name ?? '' };
}

function readText(parent: Cursor, fields: Fields, name: string): string | undefined {
  const cursor = fields.get(name)?.value;
  if (cursor === undefined || cursor.isNull) return complainOfMissing(parent, name);
  return text(cursor);
}

function complainOfMissing(parent: Cursor, name: string): undefined {
  const place = { ...parent.at, path: parent.path === '' ? name : `${parent.path}.${name}` };
  const fix = `Add \`${name}:\` here.`;
  parent.reading.complaints.add('field-missing', place, `\`${name}\` is missing`, fix);
  return undefined;
}

/** `status` is Kubernetes' own and so is all of `metadata` but the name. */
function checkTopFields(reading: DocumentReading, entries: readonly CursorEntry[]): void {
  const known = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  for (const { key, keyAt } of entries) {
    if (known.includes(key)) continue;
    const fix = didYouMean(key, known, `The fields here are ${listOfNames(known)}.`);
    const place = { ...keyAt, resource: reading.resource };
    reading.complaints.add('field-unknown', place, `There is no field \`${key}\` here`, fix);
  }
}
