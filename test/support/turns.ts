/**
 * Waiting for what no event tells: a condition is looked at once a turn of the event loop.
 *
 * No test sleeps: sockets and timers go on between two looks. The guard only turns a hang into a
 * message.
 */

const GUARD_MS = 20_000;

/** Resolves when `isSo` holds; rejects after the guard time with `what` was waited for. */
export async function untilSo(isSo: () => boolean, what: string): Promise<void> {
  const until = Date.now() + GUARD_MS;
  while (!isSo()) {
    if (Date.now() > until) throw new Error(`waited for ${what}`);
    await nextTurn();
  }
}

/** The value of `read` once it is above 0 and `turns` turns have not changed it. */
export async function untilStill(read: () => number, turns = 500): Promise<number> {
  const until = Date.now() + GUARD_MS;
  let last = read();
  for (let same = 0; same < turns; ) {
    if (Date.now() > until)
      throw new Error(`waited for a value that stays, the last one is ${last}`);
    await nextTurn();
    const now = read();
    same = now === last && now > 0 ? same + 1 : 0;
    last = now;
  }
  return last;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
