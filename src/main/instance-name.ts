/**
 * The name by which an authority tells this sidecar from others of the same identity.
 *
 *   kept in --identity-dir ─┐
 *   first free seat here ───┼─► held by a socket as long as this process lives ─► the name
 *   neither can be had ─────┴─► one of this start alone
 *
 * A rotation of roots waits for what each name said last. So one that starts again should have the name
 * that it had, or it would be waited for as long as its last certificate is good; and two that live must
 * never have the same one, or the first would be passed over. The kernel sees to both: an abstract
 * socket is had by one process of a network namespace, and ends with it, however it ends. A name is
 * taken again only there, in the same start of the machine.
 */

import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { agentLimits } from '../model/agent-limits.ts';

export interface InstanceClaim {
  readonly name: string;
  /** Gives the name up, which otherwise the end of the process does. */
  release(): void;
}

export interface InstanceWishes {
  /** What keeps the identity; empty: nothing does. */
  readonly folder: string;
  /** Sidecars with the same text take each other's seats: those with the same token, say. */
  readonly role: string;
  /** A name of this start alone: the first one that is kept, and where none can be held. */
  readonly fresh: string;
}

/** Never rejects. */
export async function claimInstance(wishes: InstanceWishes): Promise<InstanceClaim> {
  const place = placeOf();
  const claim =
    place === undefined
      ? undefined
      : await (wishes.folder === '' ? seat(place, wishes) : kept(place, wishes));
  return claim ?? { name: wishes.fresh, release: () => undefined };
}

/** This network namespace of this start of the machine; undefined: the system does not say. */
function placeOf(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const network = readlinkSync('/proc/self/ns/net');
    return /^[\da-f-]{36} net:\[\d+\]$/.exec(`${boot} ${network}`)?.[0];
  } catch {
    return undefined;
  }
}

async function seat(place: string, { role }: InstanceWishes): Promise<InstanceClaim | undefined> {
  const host = hostname()
    .replace(/[^A-Za-z0-9.-]/g, '-')
    .slice(0, 63);
  for (let number = 0; number < agentLimits.seatsMax; number++) {
    const claim = await hold(`${host}.${digest(JSON.stringify([place, role, number]))}`);
    if (claim !== undefined) return claim;
  }
  return undefined;
}

/** The folder may be a copy, or shared: its name counts where it was given, if nobody has it. */
async function kept(
  place: string,
  { folder, fresh: name }: InstanceWishes,
): Promise<InstanceClaim | undefined> {
  const path = join(folder, 'instance.json');
  const known = readKept(path);
  if (known?.place === place) return hold(known.name);
  try {
    rmSync(path, { force: true });
    writeFileSync(path, JSON.stringify({ name, place }), { mode: 0o600, flag: 'wx' });
  } catch {
    // The identity is not kept either then, which the agent says.
    return undefined;
  }
  return hold(name);
}

/** Undefined for what is not there, is no such file, or may be somebody else's. */
function readKept(path: string): { name: string; place: string } | undefined {
  try {
    const { mode, uid } = statSync(path);
    if ((mode & 0o022) !== 0 || uid !== process.geteuid?.()) return undefined;
    const { name, place } = JSON.parse(readFileSync(path, 'utf8'));
    return [name, place].every((each) => typeof each === 'string') ? { name, place } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined: another process has it, or the system has no such sockets. */
function hold(name: string): Promise<InstanceClaim | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((settle) => {
    server.on('error', () => settle(undefined));
    server.listen({ path: `\0tracecar-instance-${digest(name)}` }, () => {
      server.unref();
      settle({ name, release: () => void server.close() });
    });
  });
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
