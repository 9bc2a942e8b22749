/**
 * The page's only reader of the time and only setter of timers.
 */

/** Milliseconds since the epoch, by the browser's clock. */
export function wallMs(): number {
  return Date.now();
}

/**
 * Calls `work` at once, and every `ms` while the page is seen, until the returned function is called.
 * While the last call goes on there is no next one: a slow viewer is not asked faster than it answers.
 */
export function every(ms: number, work: () => Promise<void>): () => void {
  let isBusy = false;
  const run = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    try {
      await work();
    } finally {
      isBusy = false;
    }
  };
  void run();
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') void run();
  }, ms);
  return () => clearInterval(timer);
}

/** Calls `work` once `ms` have passed without another `call`: for fields that are typed into. */
export function calmly(ms: number, work: () => void): { call(): void; cancel(): void } {
  let timer = 0;
  const cancel = (): void => clearTimeout(timer);
  const call = (): void => {
    cancel();
    timer = Number(setTimeout(work, ms));
  };
  return { call, cancel };
}
