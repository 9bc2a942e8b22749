/**
 * The page's only reader of the time and only setter of timers.
 */

/** Milliseconds since the epoch, by the browser's clock. */
export function wallMs(): number {
  return Date.now();
}

/** Calls `work` every `ms` while the page is seen, until the returned function is called. */
export function every(ms: number, work: () => void): () => void {
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') work();
  }, ms);
  return () => clearInterval(timer);
}

/** Calls `work` once `ms` have passed without another call: for fields that are typed into. */
export function calmly(ms: number, work: () => void): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = Number(setTimeout(work, ms));
  };
}
