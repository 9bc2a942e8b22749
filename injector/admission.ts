/**
 * AdmissionReview admission.k8s.io/v1: strict reading of what the API server asks, and its answer.
 *
 * Bytes in, plain data out; no sockets. What is not a review in the right shape is refused with the
 * HTTP status and a sentence, never guessed at: the failurePolicy of the operator decides then. An
 * answer has patch and patchType both or neither, and warnings that kubectl shows in full.
 */

import { webhookLimits } from '../src/model/injector-limits.ts';
import { parseStrictJson } from './admission-json.ts';
import { type JsonPatchOperation, printOperations } from './json-patch.ts';
import { isObject } from './pod.ts';

export interface AdmissionRequest {
  readonly uid: string;
  /** `pods`, `namespaces`; the group is left out: `apiGroup` has it. */
  readonly resource: string;
  readonly apiGroup: string;
  /** Empty unless a subresource is asked for: `status`, `ephemeralcontainers`. */
  readonly subResource: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  /** Empty for what has no namespace. */
  readonly namespace: string;
  /** Often empty: the object has only a generateName. */
  readonly name: string;
  readonly isDryRun: boolean;
  /** Undefined with DELETE and CONNECT. */
  readonly object: Record<string, unknown> | undefined;
  /** What is stored now; undefined with CREATE. */
  readonly oldObject: Record<string, unknown> | undefined;
}

/** Not a review that we can answer: an HTTP status and why. */
export interface ReviewProblem {
  readonly status: 400 | 413 | 415;
  readonly problem: string;
}

export type AdmissionAnswer =
  | {
      readonly allowed: true;
      readonly operations: readonly JsonPatchOperation[];
      readonly warnings: readonly string[];
      /** For the audit log: `<webhook>/<key>`. */
      readonly audit: Readonly<Record<string, string>>;
    }
  | {
      readonly allowed: false;
      /** For the person who wanted the object: what is wrong and what to write instead. */
      readonly message: string;
      readonly warnings: readonly string[];
      readonly audit: Readonly<Record<string, string>>;
    };

const apiVersion = 'admission.k8s.io/v1';
const operations: ReadonlySet<unknown> = new Set(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']);
/** The API server's uids are UUIDs; anything that may stand in a JSON text of ours is taken. */
const uidPattern = /^[\x21-\x7e]{1,128}$/;
const warningsMax = 20;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads the body of one review. */
export function readReview(bytes: Buffer): AdmissionRequest | ReviewProblem {
  if (bytes.length === 0) return bad('the body is empty; an AdmissionReview is expected');
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
  } catch {
    return bad('the body is not UTF-8');
  }
  const read = parseStrictJson(text, webhookLimits.reviewDepthMax);
  if ('problem' in read) return bad(`the body is refused: ${read.problem}`);
  const review = read.value;
  if (!isObject(review)) return bad('the body is no JSON object; an AdmissionReview is expected');
  if (review.kind !== 'AdmissionReview') {
    return bad(`kind is ${shown(review.kind)}; AdmissionReview is expected`);
  }
  if (review.apiVersion !== apiVersion) {
    return bad(
      `apiVersion is ${shown(review.apiVersion)}; only ${apiVersion} is served (admissionReviewVersions: [v1])`,
    );
  }
  if (!isObject(review.request)) return bad('request is missing');
  return readRequest(review.request);
}

export function isProblem(read: AdmissionRequest | ReviewProblem): read is ReviewProblem {
  return 'problem' in read;
}

function readRequest(request: Record<string, unknown>): AdmissionRequest | ReviewProblem {
  const { uid, resource, operation, object } = request;
  if (typeof uid !== 'string' || !uidPattern.test(uid)) {
    return bad(`request.uid is ${shown(uid)}; a text of 1 to 128 printable characters is expected`);
  }
  if (!isObject(resource) || typeof resource.resource !== 'string') {
    return bad('request.resource.resource is missing: which kind of object is this about?');
  }
  if (!operations.has(operation)) {
    return bad(
      `request.operation is ${shown(operation)}; CREATE, UPDATE, DELETE or CONNECT is expected`,
    );
  }
  for (const key of ['namespace', 'name', 'subResource']) {
    const value = request[key];
    if (value !== undefined && value !== null && typeof value !== 'string') {
      return bad(`request.${key} is ${shown(value)}; a text is expected`);
    }
  }
  const isObjectNeeded = operation === 'CREATE' || operation === 'UPDATE';
  if (isObjectNeeded && !isObject(object)) {
    return bad(`request.object is ${shown(object)}; ${operation} comes with the object`);
  }
  return {
    uid,
    resource: resource.resource,
    apiGroup: textOf(resource.group),
    subResource: textOf(request.subResource),
    operation: operation as AdmissionRequest['operation'],
    namespace: textOf(request.namespace),
    name: textOf(request.name),
    isDryRun: request.dryRun === true,
    object: isObject(object) ? object : undefined,
    oldObject: isObject(request.oldObject) ? request.oldObject : undefined,
  };
}

/** The body of an answer; one that would be too large becomes a refusal that says so. */
export function printReview(uid: string, answer: AdmissionAnswer): string {
  const printed = printAnswer(uid, answer);
  const bytes = Buffer.byteLength(printed);
  if (bytes <= webhookLimits.answerBytesMax) return printed;
  const message = `the change to this object would be ${bytes} bytes long and the API server takes at most ${webhookLimits.answerBytesMax}; shorten its annotations or environment`;
  return printAnswer(uid, { allowed: false, message, warnings: [], audit: {} });
}

/** The patch is most of the text and base64, which JSON has nothing to escape in: it is put in whole. */
function printAnswer(uid: string, answer: AdmissionAnswer): string {
  const warnings = printableWarnings(answer.warnings);
  const response = JSON.stringify({
    uid,
    allowed: answer.allowed,
    ...(answer.allowed
      ? {}
      : { status: { code: 400, reason: 'BadRequest', message: printable(answer.message) } }),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(Object.keys(answer.audit).length === 0 ? {} : { auditAnnotations: answer.audit }),
  });
  const patch = answer.allowed && answer.operations.length > 0 ? printPatch(answer.operations) : '';
  return `{"apiVersion":"${apiVersion}","kind":"AdmissionReview","response":${response.slice(0, -1)}${patch}}}`;
}

function printPatch(list: readonly JsonPatchOperation[]): string {
  const base64 = Buffer.from(printOperations(list)).toString('base64');
  return `,"patchType":"JSONPatch","patch":"${base64}"`;
}

/** Long ones are broken between words: the API server may cut what is longer, and kubectl wraps none. */
export function printableWarnings(warnings: readonly string[]): string[] {
  if (warnings.length === 0) return [];
  const lines = warnings.flatMap((warning) =>
    broken(printable(warning), webhookLimits.warningCharactersMax),
  );
  if (lines.length <= warningsMax) return lines;
  const more = lines.length - warningsMax + 1;
  return [...lines.slice(0, warningsMax - 1), `tracecar: and ${more} more lines of warnings`];
}

function broken(text: string, charactersMax: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > charactersMax) {
    const space = rest.lastIndexOf(' ', charactersMax);
    const isUsable = space > charactersMax / 2;
    // Never between the halves of a pair.
    const hard = /[\ud800-\udbff]$/.test(rest.slice(0, charactersMax))
      ? charactersMax - 1
      : charactersMax;
    lines.push(rest.slice(0, isUsable ? space : hard));
    rest = `  ${rest.slice(isUsable ? space + 1 : hard)}`;
  }
  return [...lines, rest];
}

/** A control character in a warning makes the API server drop it. */
function printable(text: string): string {
  return text.toWellFormed().replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
}

function bad(problem: string): ReviewProblem {
  return { status: 400, problem };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : (JSON.stringify(value) ?? 'missing').slice(0, 80);
}
