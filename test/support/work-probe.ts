/**
 * Loaded into a sidecar by `--import`: counts what its hot thread does, when the test asks.
 *
 * Answers the parent's questions over the process channel; between two questions it costs nothing but
 * what it measures (a note for each collection, a hook for each promise while they are counted).
 */

import { GCProfiler, getHeapStatistics, promiseHooks } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

export type Question = 'begin' | 'end' | 'count promises' | 'promises';

export interface Answers {
  readonly begin: null;
  /** Since `begin`; external bytes are those of buffers outside V8's heap. */
  readonly end: {
    readonly allocatedBytes: number;
    readonly externalBytes: number;
    readonly scavenges: number;
  };
  readonly 'count promises': null;
  readonly promises: number;
}

type Collection = ReturnType<GCProfiler['stop']>['statistics'][number];

let startBytes = 0;
let startExternal = 0;
let collections = new GCProfiler();
let promises = 0;
let stopCounting: (() => void) | undefined;

/** Not in @types/node yet. */
function allocatedBytes(): number {
  const statistics = getHeapStatistics() as unknown as { readonly total_allocated_bytes: number };
  return statistics.total_allocated_bytes;
}

function externalBytes(): number {
  return getHeapStatistics().external_memory;
}

/** What came between one collection and the next, whatever each of them gave back. */
function grown(collected: readonly Collection[], endExternal: number): number {
  let sum = 0;
  let from = startExternal;
  for (const { beforeGC, afterGC } of collected) {
    sum += Math.max(0, beforeGC.heapStatistics.externalMemory - from);
    from = afterGC.heapStatistics.externalMemory;
  }
  return sum + Math.max(0, endExternal - from);
}

function answer(question: Question): Answers[Question] {
  switch (question) {
    case 'begin':
      collections = new GCProfiler();
      collections.start();
      startExternal = externalBytes();
      startBytes = allocatedBytes();
      return null;
    case 'end': {
      const bytes = allocatedBytes() - startBytes;
      const endExternal = externalBytes();
      const { statistics } = collections.stop();
      const scavenges = statistics.filter((each) => each.gcType === 'Scavenge').length;
      return { allocatedBytes: bytes, externalBytes: grown(statistics, endExternal), scavenges };
    }
    case 'count promises':
      promises = 0;
      stopCounting = promiseHooks.onInit(() => {
        promises++;
      }) as () => void;
      return null;
    case 'promises':
      stopCounting?.();
      return promises;
  }
}

if (isMainThread) {
  process.on('message', (question: Question) => process.send?.({ answer: answer(question) }));
}
