/**
 * What a sidecar has recorded of callers without mutual TLS, as its admin port tells it.
 *
 * It comes from other processes and from files, so it is read with care: what is not such a report is
 * said so, and nothing of it is believed to be short or printable.
 */

import type { InboundSecurity } from '../model/security.ts';
import type { PlaintextReport } from '../proxy/scope/plaintext-callers.ts';

/** `GET /plaintext-callers`. */
export interface StrictReport extends PlaintextReport {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** SPIFFE id of the workload; empty: it has none, and records nobody. */
  readonly identity: string;
  /** When recording began, milliseconds since the epoch. */
  readonly sinceMs: number;
  /** What it takes now. */
  readonly security: Pick<InboundSecurity, 'mode' | 'origin' | 'ports'>;
}

/** Undefined for anything that is no report. */
export function readStrictReport(text: string): StrictReport | undefined {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isReport(found) ? found : undefined;
}

function isReport(value: unknown): value is StrictReport {
  if (!isObject(value)) return false;
  const { namespace, labels, identity, sinceMs, security, callers, forgotten } = value;
  return (
    [namespace, identity].every((each) => typeof each === 'string') &&
    [sinceMs, forgotten].every(isTime) &&
    isObject(labels) &&
    Object.values(labels).every((each) => typeof each === 'string') &&
    isObject(security) &&
    isMode(security.mode) &&
    Array.isArray(security.ports) &&
    security.ports.every((each) => isObject(each) && isPort(each.port) && isMode(each.mode)) &&
    Array.isArray(callers) &&
    callers.every(isCaller)
  );
}

function isCaller(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { address, port, connections, lastMs, isAlsoMeshed } = value;
  return (
    typeof address === 'string' &&
    isPort(port) &&
    isTime(connections) &&
    isTime(lastMs) &&
    typeof isAlsoMeshed === 'boolean'
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isMode(value: unknown): boolean {
  return value === 'disable' || value === 'permissive' || value === 'strict';
}

function isPort(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535;
}

/** What `Date` can print too. */
function isTime(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 8.64e15;
}
