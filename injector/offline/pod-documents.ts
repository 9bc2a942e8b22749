/**
 * Pod documents: the pods and pod templates inside the YAML or JSON documents of one file.
 *
 * Documents stay in their order, and one without a change passes byte for byte. A change is made in
 * the parsed document by JSON Patch, so comments, quotes and the order of keys survive. Values mean
 * what they mean to kubectl, before and after (kubectl-yaml.ts).
 */

import {
  type Document,
  isCollection,
  isMap,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
} from 'yaml';
import { diff, type JsonPatchOperation } from '../json-patch.ts';
import type { Workload } from '../patch-workload.ts';
import { isObject, type Pod, readPod } from '../pod.ts';
import { createQuotedNode, hasCycle, kubectlSchema, writeOutShared } from './kubectl-yaml.ts';

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
    ...kubectlSchema,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const documents = Array.isArray(parsed) ? parsed : [];
  const isJson = text.trimStart().startsWith('{');
  const texts: string[] = [];
  let changed = 0;
  let end = 0;
  for (const document of documents as readonly Document.Parsed<ParsedNode>[]) {
    const start = end;
    end = document === documents.at(-1) ? text.length : document.range[2];
    const value = readDocument(document, lines, complaints);
    const operations = templatesIn(value).flatMap((place) => {
      const found = changeOne(value, place, change);
      const line = lineOf(document, place.path, lines);
      complaints.push(...found.complaints.map((each) => ({ ...each, line })));
      if (found.operations.length > 0) changed += 1;
      return found.operations;
    });
    if (operations.length === 0) texts.push(text.slice(start, end));
    else texts.push(printDocument(document, operations, isJson));
  }
  if (complaints.some(({ severity }) => severity === 'error')) {
    return { text: '', complaints, changed: 0 };
  }
  return { text: changed === 0 ? text : joinDocuments(texts), complaints, changed };
}

/** Plain data of a document; undefined, with complaints, when it is not one of Kubernetes. */
function readDocument(
  document: Document.Parsed<ParsedNode>,
  lines: LineCounter,
  complaints: Complaint[],
): unknown {
  const complain = (offset: number, message: string): undefined => {
    complaints.push({ severity: 'error', line: lines.linePos(offset).line, message });
  };
  for (const { pos, message } of document.errors) complain(pos[0], message.split('\n')[0]!);
  if (document.errors.length > 0) return undefined;
  const begin = document.contents?.range[0] ?? document.range[0];
  try {
    if (hasCycle(document)) return complain(begin, 'an alias stands within what it names');
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    // Nothing between two separators is no mistake.
    if (value === null || value === undefined || isObject(value)) return value;
    return complain(begin, 'this is no Kubernetes object: a mapping is expected');
  } catch (error) {
    return complain(begin, error instanceof Error ? error.message : String(error));
  }
}

/** Where a pod begins. */
function lineOf(
  document: Document.Parsed<ParsedNode>,
  path: readonly (string | number)[],
  lines: LineCounter,
): number {
  const node = document.getIn(path, true) ?? document.contents;
  return lines.linePos(isCollection(node) ? (node.range?.[0] ?? 0) : 0).line;
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
  operations: readonly JsonPatchOperation[],
  isJson: boolean,
): string {
  writeOutShared(document);
  for (const operation of operations) applyOperation(document, operation);
  if (isJson) return `${JSON.stringify(document.toJS(), null, 2)}\n`;
  return document.toString({ lineWidth: 0 });
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
    parent.items.splice(Number(key), 0, createQuotedNode(document, operation.value));
  } else if (isSeq(parent)) parent.set(Number(key), createQuotedNode(document, operation.value));
  else if (isMap(parent)) parent.set(key, createQuotedNode(document, operation.value));
}

/** Documents apart by `---`; most have their own, after comments at the most. */
function joinDocuments(texts: readonly string[]): string {
  let joined = '';
  for (const each of texts) {
    if (joined !== '' && !/^\s/.test(each) && !joined.endsWith('\n')) joined += '\n';
    const isApart = joined === '' || /^(?:[ \t]*(?:[#%].*)?\r?\n)*---/.test(each);
    joined += isApart ? each : `---\n${each}`;
  }
  return joined;
}
