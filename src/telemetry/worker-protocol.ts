/**
 * What the hot thread and the telemetry worker say to each other beside the ring.
 *
 * Plain data that survives structured cloning. Names and facts of tables travel on a port of their
 * own, which the worker empties before it reads the ring: what was posted before a record is known
 * when it is read.
 */

import type { MessagePort } from 'node:worker_threads';
import type { TelemetryLimits } from '../model/telemetry-limits.ts';
import type { PeerKeys } from './keep/peer-keys.ts';
import type { ExemplarEntry } from './metrics/exemplars.ts';
import type { MetricsSnapshot } from './metrics/metrics-snapshot.ts';
import type { RingMemory } from './record/record-layout.ts';
import type { TelemetrySettings } from './settings/settings.ts';
import type { TableMessage } from './table-message.ts';
import type { OwnAnswer, OwnDial } from './transport/own-dial.ts';

/** `workerData` of the worker. */
export interface WorkerStart {
  readonly memory: RingMemory;
  readonly settings: TelemetrySettings;
  readonly limits: TelemetryLimits;
  readonly accessLog: 'off' | 'json';
  readonly version: string;
  /** The hot thread's clock: wall-clock milliseconds at its monotonic 0. */
  readonly epochMs: number;
  readonly names: MessagePort;
  /** Exporters ask the hot thread how to reach their collectors. */
  readonly asksForPath: boolean;
}

/** On the names port: the names with ids from `firstId`. */
export interface NamesMessage {
  readonly firstId: number;
  readonly names: readonly string[];
}

/** All that the names port carries. */
export type NamesPortMessage = NamesMessage | TableMessage;

/** To the worker: write and send what is left, until it is ended. */
export interface CloseMessage {
  readonly kind: 'close';
  /** When that is, in wall-clock milliseconds: it may get the message late. */
  readonly untilEpochMs: number;
}

/** To the worker: answer with `id` and the exemplars that there are. */
export interface ExemplarsRequest {
  readonly kind: 'exemplars';
  readonly id: number;
}

/** All that the worker is told. */
export type ToWorkerMessage =
  | CloseMessage
  | ExemplarsRequest
  | MetricsSnapshot
  | { readonly kind: 'dialled'; readonly id: number; readonly answer: OwnAnswer }
  /** What sidecars with an identity are called with from now on; private to this process. */
  | { readonly kind: 'keys'; readonly keys: PeerKeys }
  /** The answers may be others now. */
  | { readonly kind: 'redial' };

/** From the worker. */
export type WorkerMessage =
  | { readonly kind: 'warning'; readonly text: string }
  | {
      readonly kind: 'exemplars';
      readonly id: number;
      readonly entries: readonly ExemplarEntry[];
    }
  | { readonly kind: 'dial'; readonly id: number; readonly to: OwnDial }
  | { readonly kind: 'closed' };
