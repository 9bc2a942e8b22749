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
  /** Since `begin`. */
  readonly end: { readonly allocatedBytes: number; readonly scavenges: number };
  readonly 'count promises': null;
  readonly promises: number;
}

let startBytes = 0;
let collections = new GCProfiler();
let promises = 0;
let stopCounting: (() => void) | undefined;

/** Not in @types/node yet. */
function allocatedBytes(): number {
  const statistics = getHeapStatistics() as unknown as { readonly total_allocated_bytes: number };
  return statistics.total_allocated_bytes;
}

function answer(question: Question): Answers[Question] {
  switch (question) {
    case 'begin':
      collections = new GCProfiler();
      collections.start();
      startBytes = allocatedBytes();
      return null;
    case 'end': {
      const bytes = allocatedBytes() - startBytes;
      const { statistics } = collections.stop();
      const scavenges = statistics.filter((each) => each.gcType === 'Scavenge').length;
      return { allocatedBytes: bytes, scavenges };
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
