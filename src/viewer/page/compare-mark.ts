/**
 * The trace that is kept for a comparison: the next one that is marked is compared with it.
 *
 * Kept for this tab only (sessionStorage), so that it outlives a reload and bothers no other tab.
 */

import { navigate } from './view.ts';

const key = 'tracecar-compare';
const listeners = new Set<() => void>();

/** Marks a trace, takes back its mark, or goes to the comparison with the one marked before. */
export function compareMark(traceId: string): void {
  const marked = markedTrace();
  if (marked === '') {
    sessionStorage.setItem(key, traceId);
  } else {
    sessionStorage.removeItem(key);
    if (marked !== traceId) navigate(`/compare/${marked}/${traceId}`);
  }
  for (const listener of listeners) listener();
}

/** Its id, or empty. */
export function markedTrace(): string {
  return sessionStorage.getItem(key) ?? '';
}

/** Calls `listener` after each change, until the returned function is called. */
export function onMark(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
