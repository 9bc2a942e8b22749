/**
 * Load: texts to resources, resources to the routing table of one workload. Both are pure.
 *
 *   ConfigSource[] ── readResources ──► Resource[] ── compileTable(workload) ──► RoutingTable
 *                          └── diagnostics                    └── diagnostics
 *
 * Reading complains of each file by itself and of double resources; compiling complains of how the
 * resources fit together. Neither ever throws for anything that somebody wrote.
 */

import type { Diagnostic } from '../model/diagnostic.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { type Capture, checkCapture } from './compile/check-capture.ts';
import { checkReferences } from './compile/check-references.ts';
import { ClusterList } from './compile/compile-clusters.ts';
import { ConnectionCompiler } from './compile/compile-connections.ts';
import { isGateway } from './compile/compile-gateways.ts';
import { compileListeners } from './compile/compile-listeners.ts';
import { CompileMemory } from './compile/compile-memory.ts';
import { RuleCompiler } from './compile/compile-rules.ts';
import { compileSecurity } from './compile/compile-security.ts';
import { compileTracing } from './compile/compile-tracing.ts';
import { Credentials, usualSecretsFolder } from './compile/gateway-credentials.ts';
import { selectSidecar } from './compile/select-sidecar.ts';
import { deepFreeze } from './deep-freeze.ts';
import { labelText } from './resource/labels.ts';
import { readDocument } from './resource/read-resource.ts';
import { type Resource, resourceName } from './resource/resource.ts';
import { Complaints, filePlace, placeText } from './syntax/complaints.ts';
import { parseYaml } from './syntax/yaml-file.ts';
import { World } from './world/world.ts';

/** One file's text, as it was read. */
export interface ConfigSource {
  readonly file: string;
  readonly text: string;
}

/** Whose table is compiled. */
export interface CompileContext {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly generation: number;
  /** Whose Telemetry and PeerAuthentication hold for all namespaces; `istio-system` when absent. */
  readonly rootNamespace?: string;
  /** Of every identity; `cluster.local` when absent. */
  readonly trustDomain?: string;
  /** Where Secrets are mounted, each in a folder of its name; the usual place when absent. */
  readonly secretsFolder?: string;
  /** `redirect`: connections are captured, and the table has a plan for them. */
  readonly capture: Capture;
}

export interface ReadResult {
  /** Also those with mistakes, as far as they could be read (`isSound` is false then). */
  readonly resources: readonly Resource[];
  readonly diagnostics: readonly Diagnostic[];
}

/** By `secret:NAMESPACE/NAME/PART#DIGEST`: PEM. Plain text, so that it may go from thread to thread. */
export type CredentialTexts = ReadonlyMap<string, string>;

export interface CompileResult {
  readonly table: RoutingTable;
  /** What Secrets among the resources hold of it, by the names in the table; secret. */
  readonly credentials: CredentialTexts;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * The resources of all files, in the order given, with every complaint about them.
 *
 * @param namespace of documents that name none
 */
export function readResources(sources: readonly ConfigSource[], namespace = 'default'): ReadResult {
  const complaints = new Complaints();
  const resources: Resource[] = [];
  for (const { file, text } of sources) {
    for (const document of parseYaml(file, text, complaints)) {
      resources.push(...readDocument(document, complaints, namespace));
    }
  }
  const kept = dropDuplicates(resources, complaints);
  return { resources: kept, diagnostics: complaints.list() };
}

/**
 * The first of several resources with the same kind, namespace and name. One in `refusedFiles` does
 * not count, whatever its place; it is compared all the same.
 */
export function dropDuplicates(
  resources: readonly Resource[],
  complaints: Complaints,
  refusedFiles: readonly string[] = [],
): readonly Resource[] {
  const first = new Map<string, Resource>();
  return resources.filter((resource) => {
    const key = `${resource.kind} ${resourceName(resource)}`;
    const other = first.get(key);
    if (other === undefined) {
      first.set(key, resource);
      return true;
    }
    const counts = refusedFiles.includes(other.at.source.file) ? '' : ', which counts';
    const message = `${key} is already defined at ${placeText(other.at)}${counts}`;
    const place = { ...resource.at, path: 'metadata.name' };
    complaints.add('duplicate-resource', place, message, 'Remove one, or give it another name.');
    return false;
  });
}

/**
 * The table of one workload: a pure function of the resources and the context, deeply frozen. A rule
 * that refers to something missing answers with a named failure and is complained of; the others work.
 *
 * @param memory of earlier compilations in the same context: makes the same table sooner
 */
export function compileTable(
  resources: readonly Resource[],
  context: CompileContext,
  memory = new CompileMemory(),
): CompileResult & { readonly world: World } {
  const complaints = new Complaints();
  const world = new World(resources, complaints, context);
  memory.begin(world.peerAuthentications);
  checkReferences(world, complaints, memory, context.namespace);
  checkCapture(world, context.capture, complaints);
  const clusters = new ClusterList(world.identities);
  const sidecar = selectSidecar(world.sidecars, context, complaints);
  const rules = new RuleCompiler(world, clusters, complaints, context.namespace, memory);
  const connections = new ConnectionCompiler(world, clusters, complaints, context.namespace);
  const { namespace, secretsFolder = usualSecretsFolder } = context;
  const { secrets } = world;
  const credentials = new Credentials({ secrets, namespace, secretsFolder }, complaints);
  const { listeners, plan } = compileListeners(
    { world, clusters, rules, connections, credentials, complaints, sidecar },
    context,
  );
  const listensOnNothing = sidecar === undefined && !isGateway(world, context);
  if (listensOnNothing && context.capture === 'none') {
    const message =
      `No Sidecar of namespace ${context.namespace} selects the workload ` +
      `(${labelText(context.labels)}): nothing is listened on`;
    const fix = 'Add a Sidecar, or give its selector labels of this workload.';
    complaints.add('no-sidecar', filePlace(''), message, fix);
  }
  const table: RoutingTable = deepFreeze({
    kind: 'routing-table',
    generation: context.generation,
    listeners,
    clusters: clusters.clusters,
    capture: context.capture === 'none' ? undefined : plan,
    tracing: compileTracing(world.telemetries, context, complaints),
    security: compileSecurity(world, context, complaints),
  });
  return { table, diagnostics: complaints.list(), credentials: credentials.texts, world };
}
