/**
 * What `tracecar run` waits for once its command has ended: that others have taken what it sent.
 *
 * Without a network of its own the kernel would go on sending for a command that is gone. Here the
 * network goes too, so the kernel's tables of connections are asked until nothing is on its way. How
 * long that takes is up to the receivers: one that takes nothing for `stuckMs` is waited for no longer.
 */

import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';

const stuckMs = 10_000;
/** The longest, however slowly it goes on. */
const longestMs = 60_000;
/** A sidecar that has read all of a connection and sent nothing yet: it looks where to, or dials. */
const heldMs = 1_000;
/** A person wonders why the command does not end. */
const tellMs = 1_000;
const lookMs = 20;

/** One look at the kernel's tables. */
export interface OnTheWay {
  /** Whether bytes of anybody wait to be read by the sidecar or taken by a receiver. */
  readonly isSending: boolean;
  /** `ADDRESS:PORT` of the receivers, none twice. */
  readonly peers: readonly string[];
  /** Whether the sidecar has a connection whose command is gone, although it has read all of it. */
  readonly isHeld: boolean;
  /** Connections of callers to the command, on which bytes are on their way. */
  readonly callers: ReadonlySet<string>;
  /** Changes when something goes on. */
  readonly mark: string;
}

export interface TakenOptions {
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  /** /proc/PID/net/tcp and tcp6 of the command's network, one after the other. */
  readTables(): string;
  /** Whether somebody wants us to end at once. */
  isCalledOff(): boolean;
  /** One line for a person while all is well. */
  remark(line: string): void;
  /** One line about what is lost. */
  complain(line: string): void;
}

export async function awaitTaken(options: TakenOptions): Promise<void> {
  const { clock, wakeUps } = options;
  const started = clock.now();
  let [changed, mark, isTold] = [started, '', false];
  let callers: ReadonlySet<string> | undefined;
  while (!options.isCalledOff()) {
    const seen = readOnTheWay(options.readTables(), callers);
    callers = seen.callers;
    const now = clock.now();
    if (seen.mark !== mark) [changed, mark] = [now, seen.mark];
    if (!seen.isSending && (!seen.isHeld || now >= changed + heldMs)) return;
    const why = whyGivenUp(now - changed, now - started);
    if (why !== '') {
      options.complain(`gave up sending what the command left for ${nameOf(seen.peers)}: ${why}`);
      return;
    }
    if (!isTold && seen.isSending && now >= started + tellMs) {
      isTold = true;
      const whom = nameOf(seen.peers);
      options.remark(`waits until ${whom} has taken what the command sent; Ctrl-C ends it at once`);
    }
    await new Promise<void>((resolve) => void wakeUps.after(lookMs, resolve));
  }
}

function whyGivenUp(stillMs: Milliseconds, allMs: Milliseconds): string {
  if (stillMs >= stuckMs) return `nothing of it was taken for ${stuckMs / 1_000} s`;
  if (allMs >= longestMs) return `it was not all taken in ${longestMs / 1_000} s`;
  return '';
}

function nameOf([first = 'others', ...more]: readonly string[]): string {
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}

/** States of a connection, as proc_net_tcp(5) numbers them. */
const State = { SynSent: '02', TimeWait: '06', CloseWait: '08', Listen: '0A' } as const;
const outboundPort = 15_001;
const inboundPort = 15_006;
/** Our own questions come there. */
const metricsPort = 15_090;
const proxyUid = '1337';

/**
 * Never throws: a line that is none says nothing. `callers`: those of the last look. The sidecar goes on
 * answering callers, so one that was not there then, or had all that was sent to it, is told by us.
 */
export function readOnTheWay(tables: string, callers?: ReadonlySet<string>): OnTheWay {
  const [peers, dialled, marks] = [new Set<string>(), new Set<string>(), [] as string[]];
  const waiting = new Set<string>();
  let [isSending, isHeld] = [false, false];
  for (const line of tables.split('\n')) {
    const [, local = '', remote = '', state = '', queues = '', , , uid] = line.trim().split(/\s+/);
    const port = portOf(local);
    if (!remote.includes(':') || port === metricsPort) continue;
    if (state === State.Listen || state === State.TimeWait) continue;
    if (state === State.SynSent) {
      dialled.add(nameOfAddress(remote));
      continue;
    }
    isHeld ||= state === State.CloseWait && port === outboundPort;
    const [unsent = 0, unread = 0] = queues.split(':').map((hex) => Number.parseInt(hex, 16));
    if (unsent === 0 && (unread === 0 || uid !== proxyUid)) continue;
    const connection = `${local} ${remote}`;
    if (port === inboundPort) {
      if (callers?.has(connection) === false) continue;
      waiting.add(connection);
    }
    isSending = true;
    marks.push(`${local} ${remote} ${state} ${queues}`);
    if (unsent > 0) peers.add(nameOfAddress(remote));
  }
  // Otherwise it is a dial to a collector of spans, and none of the command's business.
  if (isHeld && dialled.size > 0) {
    isSending = true;
    for (const peer of dialled) peers.add(peer);
  }
  return { isSending, isHeld, peers: [...peers], callers: waiting, mark: marks.join('\n') };
}

const portOf = (address: string) => Number.parseInt(address.split(':')[1] ?? '', 16);

/** An address is printed in words of 32 bits, each in the byte order of the machine: least first. */
function nameOfAddress(address: string): string {
  const words = (address.split(':')[0]!.match(/.{8}/g) ?? []).map((word) =>
    (word.match(/../g) ?? []).toReversed().map((byte) => Number.parseInt(byte, 16)),
  );
  const bytes = words.flat();
  if (bytes.length === 4 || words[2]?.join() === '0,0,255,255') {
    return `${bytes.slice(-4).join('.')}:${portOf(address)}`;
  }
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return `${new URL(`http://[${groups.join(':')}]`).hostname}:${portOf(address)}`;
}
