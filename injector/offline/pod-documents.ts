/**
 * Pod documents: the pods and pod templates inside the YAML or JSON documents of one file.
 *
 * Documents stay in their order, and what is not a workload passes untouched. A change is made in the
 * parsed document by JSON Patch, so comments and the order of keys survive; only a document that
 * uses aliases is written anew, without its comments, because two places would share the change.
 */

import {
  Document,
  isAlias,
  isCollection,
  isMap,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
  visit,
} from 'yaml';
import { diff, type JsonPatchOperation } from '../json-patch.ts';
import type { Workload } from '../patch-workload.ts';
import { isObject, type Pod, readPod } from '../pod.ts';

/** A complaint about a place of a file: `file:line: message`. */
export interface Complaint {
  readonly severity: 'error' | 'warning';
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** A pod or template, and who it works for. */
export interface FoundPod {
  readonly pod: Pod;
  /** Undefined for a bare pod. */
  readonly workload: Workload | undefined;
  /** Of the pod or of its workload; empty when none is named. */
  readonly namespace: string;
  /** `Deployment reviews` */
  readonly title: string;
}

export interface PodChange {
  readonly pod: Pod;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

export interface DocumentsResult {
  /** The whole file again; empty when there is an error. */
  readonly text: string;
  readonly complaints: readonly Complaint[];
  /** Pods and templates that differ now. */
  readonly changed: number;
}

/** Applies `change` to every pod of a text. */
export function changePods(text: string, change: (found: FoundPod) => PodChange): DocumentsResult {
  const lines = new LineCounter();
  const complaints: Complaint[] = [];
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const documents = Array.isArray(parsed) ? parsed : [];
  const isJson = text.trimStart().startsWith('{');
  const texts: string[] = [];
  let changed = 0;
  for (const document of documents as readonly Document.Parsed<ParsedNode>[]) {
    for (const { pos, message } of document.errors) {
      const line = lines.linePos(pos[0]).line;
      complaints.push({ severity: 'error', line, message: message.split('\n')[0]! });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const value = contentsOf(document, lines, complaints);
    const operations = templatesIn(value).flatMap((place) => {
      const found = changeOne(value, place, change);
      const node = document.getIn(place.path, true) ?? document.contents;
      const offset = isCollection(node) ? (node.range?.[0] ?? 0) : 0;
      const { line } = lines.linePos(offset);
      complaints.push(...found.complaints.map((each) => ({ ...each, line })));
      if (found.operations.length > 0) changed += 1;
      return found.operations;
    });
    texts.push(printDocument(document, value, operations, isJson));
  }
  const isWrong = complaints.some(({ severity }) => severity === 'error');
  return { text: isWrong ? '' : joinDocuments(texts), complaints, changed: isWrong ? 0 : changed };
}

function contentsOf(
  document: Document.Parsed<ParsedNode>,
  lines: LineCounter,
  complaints: Complaint[],
): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    const { line } = lines.linePos(document.range[0]);
    const message = error instanceof Error ? error.message : String(error);
    complaints.push({ severity: 'error', line, message });
    return undefined;
  }
}

interface Place {
  readonly path: readonly (string | number)[];
  readonly workload: Workload | undefined;
  readonly namespace: string;
  readonly title: string;
}

const templated = [
  ...['Deployment', 'ReplicaSet', 'ReplicationController'],
  ...['StatefulSet', 'DaemonSet', 'Job'],
];

/** Where the pods of a document are. */
function templatesIn(value: unknown, path: readonly (string | number)[] = []): Place[] {
  if (!isObject(value) || typeof value.kind !== 'string') return [];
  const { kind } = value;
  if (kind.endsWith('List') && Array.isArray(value.items)) {
    return value.items.flatMap((item, index) => templatesIn(item, [...path, 'items', index]));
  }
  const metadata = isObject(value.metadata) ? value.metadata : {};
  const textOf = (key: string) => (typeof metadata[key] === 'string' ? metadata[key] : '');
  const name = textOf('name');
  const place = {
    workload: { kind, name },
    namespace: textOf('namespace'),
    title: `${kind} ${name || textOf('generateName')}`.trim(),
  };
  if (kind === 'Pod') return [{ ...place, workload: undefined, path }];
  if (templated.includes(kind)) return [{ ...place, path: [...path, 'spec', 'template'] }];
  if (kind !== 'CronJob') return [];
  return [{ ...place, path: [...path, 'spec', 'jobTemplate', 'spec', 'template'] }];
}

function changeOne(
  document: unknown,
  { path, ...place }: Place,
  change: (found: FoundPod) => PodChange,
): { operations: JsonPatchOperation[]; complaints: Omit<Complaint, 'line'>[] } {
  const value = path.reduce<unknown>(
    (node, key) => (typeof node === 'object' && node !== null ? Reflect.get(node, key) : undefined),
    document,
  );
  const read = readPod(value);
  if ('problem' in read) {
    const message = `${place.title}: ${read.problem}`;
    return { operations: [], complaints: [{ severity: 'error', message }] };
  }
  const result = change({ ...place, pod: read.pod });
  const complaintsOf = (severity: Complaint['severity'], messages: readonly string[]) =>
    messages.map((message) => ({ severity, message: `${place.title}: ${message}` }));
  const prefix = path.map((key) => `/${key}`).join('');
  return {
    operations: diff(read.pod, result.pod).map((each) => ({ ...each, path: prefix + each.path })),
    complaints: [
      ...complaintsOf('error', result.errors),
      ...complaintsOf('warning', result.warnings),
    ],
  };
}

function printDocument(
  document: Document.Parsed<ParsedNode>,
  value: unknown,
  operations: readonly JsonPatchOperation[],
  isJson: boolean,
): string {
  let hasAlias = false;
  visit(document, (_key, node) => {
    hasAlias ||= isAlias(node);
  });
  // A copy as a tree: a new document would find what is shared, and share it again.
  const target = hasAlias && operations.length > 0 ? new Document(treeOf(value)) : document;
  for (const operation of operations) applyOperation(target, operation);
  if (isJson) return `${JSON.stringify(target.toJS(), null, 2)}\n`;
  return target.toString({ lineWidth: 0 });
}

function treeOf(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function applyOperation(document: Document, operation: JsonPatchOperation): void {
  const path = operation.path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const parent = document.getIn(path.slice(0, -1), true);
  const key = path.at(-1)!;
  if (operation.op === 'remove') document.deleteIn(path);
  else if (isSeq(parent) && operation.op === 'add') {
    parent.items.splice(Number(key), 0, document.createNode(operation.value));
  } else if (isSeq(parent)) parent.set(Number(key), document.createNode(operation.value));
  else if (isMap(parent)) parent.set(key, document.createNode(operation.value));
}

/** Documents apart by `---`; one that begins with it has its own. */
function joinDocuments(texts: readonly string[]): string {
  return texts
    .map((each, at) => (at > 0 && !each.startsWith('---') ? `---\n${each}` : each))
    .join('');
}
