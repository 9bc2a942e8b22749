/**
 * What a person does with the state of an authority: `rotate`, `status`, `bundle`, `token`.
 *
 * Each reads, changes at most one thing, prints and ends; a running authority follows. Nothing here
 * prints a key.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { WallTime } from '../base/clock.ts';
import { printable } from '../base/printable.ts';
import type { Random } from '../base/random.ts';
import {
  type AuthorityState,
  endOf,
  materialOf,
  newRootSinceMs,
  printState,
  readState,
} from '../identity/authority-state.ts';
import { type NotYet, rotate, unready } from '../identity/rotation.ts';
import { readReports, type SidecarList } from '../identity/sidecar-reports.ts';
import { changeStored, type StateStore } from '../identity/state-store.ts';
import { addToken } from '../identity/token-file.ts';
import type { CaSettings } from './ca-settings.ts';
import { StartError } from './listen-problem.ts';

export interface ActionParts {
  readonly settings: CaSettings;
  readonly store: StateStore;
  readonly wallTime: WallTime;
  readonly random: Random;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Begins the next phase: 0, or 1 with the names of those who are not ready. Throws StartError. */
export async function rotateRoot(parts: ActionParts): Promise<number> {
  const { err, out, random, settings, store, wallTime } = parts;
  const list = await readList(store);
  const stranger = settings.gone.find(
    (name) => !list.sidecars.some(({ id, instance }) => instance === name || id === name),
  );
  if (stranger !== undefined) {
    throw new StartError(
      `--gone ${stranger}: \`tracecar ca status\` lists no sidecar of that name`,
    );
  }
  let says = '';
  let refused: NotYet | undefined;
  await changeStored(store, 'authority', (text) => {
    const state = stateOf(text, store);
    const facts = { state, list, gone: settings.gone, nowMs: wallTime() };
    const next = rotate(facts, random);
    if ('problem' in next) throw new StartError(`${store.place}: ${next.problem}`);
    refused = 'missing' in next ? next : undefined;
    if ('missing' in next) return undefined;
    says = [next.says, ...oldBundles(next.state)].join('\n');
    return printState(next.state);
  });
  if (refused === undefined) {
    out(`${says}\n`);
    return 0;
  }
  for (const line of refused.missing) err(`${printable(line)}\n`);
  err(`tracecar ca: not yet; ${refused.advice}\n`);
  return 1;
}

/** Whoever starts with such a bundle alone, after the last phase, is nobody's: what a person has to do. */
function oldBundles(state: AuthorityState): readonly string[] {
  const sinceMs = newRootSinceMs(state);
  if (sinceMs === undefined) return [];
  const since = new Date(sinceMs).toISOString();
  return [
    `before phase 3: trust bundles from before ${since} have the old root alone; recreate the pods that ` +
      'were made before then (`kubectl rollout restart`), and replace copies of bundle.pem',
  ];
}

/** Prints phase, ends and sidecars. Throws StartError. */
export async function showStatus(parts: ActionParts): Promise<number> {
  const { out, settings, store, wallTime } = parts;
  const list = await readList(store);
  const text = (await store.read('authority'))?.text;
  if (text === undefined && list.sidecars.length > 0) {
    out(outsideStatus(parts, list));
    return 0;
  }
  const status = statusOf(stateOf(text, store), list, wallTime(), store.place);
  out(settings.output === 'json' ? `${JSON.stringify(status, undefined, 2)}\n` : textOf(status));
  return 0;
}

/** Of an authority whose issuer comes from outside: whose roots, and when they change, is not said here. */
function outsideStatus({ settings, wallTime }: ActionParts, list: SidecarList): string {
  const nowMs = wallTime();
  const sidecars = list.sidecars
    .filter(({ notAfterMs }) => notAfterMs > nowMs)
    .map(({ id, instance, bundleHash, notAfterMs }) => ({
      ...{ id, instance, bundleHash, notAfter: new Date(notAfterMs).toISOString() },
    }));
  const status = { issuer: 'outside', bundles: countsOf(sidecars), sidecars };
  if (settings.output === 'json') return `${JSON.stringify(status, undefined, 2)}\n`;
  const lines = [
    'issuer        from outside (--issuer-cert): roots change there',
    ...Object.entries(status.bundles).map(([hash, count]) => `bundle        ${hash}: ${count}`),
    `sidecars      ${sidecars.length}`,
    ...sidecars.map(
      ({ bundleHash, id, instance, notAfter }) =>
        `  ${id} (${instance}) until ${notAfter}, bundle ${bundleHash.slice(0, 12)}`,
    ),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

/** How many have reported each bundle: before a root is taken away everybody has the one without it. */
function countsOf(sidecars: readonly { readonly bundleHash: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { bundleHash } of sidecars) counts[bundleHash] = (counts[bundleHash] ?? 0) + 1;
  return counts;
}

/** Prints the roots to trust, PEM. Throws StartError. */
export async function printBundle({ out, store }: ActionParts): Promise<number> {
  const material = materialOf(stateOf((await store.read('authority'))?.text, store));
  if ('problem' in material) throw new StartError(`${store.place}: ${material.problem}`);
  out(material.bundle.pem);
  return 0;
}

/** Prints a token, which is stored nowhere. */
export async function makeToken({ err, out, settings, wallTime }: ActionParts): Promise<number> {
  const { state, tokenLifeMs, workload } = settings;
  const notAfterMs = wallTime() + tokenLifeMs;
  const path = join(state, 'tokens');
  const isAuthority = ['authority.json', 'bundle.pem'].some((name) =>
    existsSync(join(state, name)),
  );
  const token = await addToken(path, { ...workload, notAfterMs });
  out(`${token.reveal()}\n`);
  const name = `${workload.namespace}/${workload.serviceAccount}`;
  const end = new Date(notAfterMs).toISOString();
  err(`tracecar ca: a token of ${name} until ${end}; taking its line out of ${path} revokes it\n`);
  if (!isAuthority) {
    err(`tracecar ca: ${state} holds no authority; the token counts once one has this --state\n`);
  }
  return 0;
}

function statusOf(state: AuthorityState, list: SidecarList, nowMs: number, place: string) {
  const material = materialOf(state);
  if ('problem' in material) throw new StartError(`${place}: ${material.problem}`);
  const iso = (ms: number) => new Date(ms).toISOString();
  const live = list.sidecars.filter(({ notAfterMs }) => notAfterMs > nowMs);
  return {
    trustDomain: state.trustDomain,
    phase: state.phase,
    since: iso(state.sinceMs),
    bundleHash: material.bundle.hash,
    roots: state.roots.map((root, index) => ({
      signs: (state.phase === 'issue' ? 1 : 0) === index,
      notAfter: iso(endOf(root)),
    })),
    issuerNotAfter: iso(endOf(state.issuer)),
    advice: oldBundles(state),
    waitsFor: unready({ state, list, gone: [], nowMs }, material),
    sidecars: live.map((each) => ({
      id: each.id,
      instance: each.instance,
      hasBundle: each.bundleHash === material.bundle.hash,
      hasNewLeaf: each.rootHash === material.rootHash,
      issued: iso(each.issuedMs),
      notAfter: iso(each.notAfterMs),
    })),
  };
}

const phases = {
  steady: 'steady: one root, no rotation under way',
  spread: 'phase 1 of 3: both roots are trusted, the old one signs',
  issue: 'phase 2 of 3: both roots are trusted, the new one signs',
} as const;

function textOf(status: ReturnType<typeof statusOf>): string {
  const lines = [
    `trust domain  ${status.trustDomain}`,
    `rotation      ${phases[status.phase]} (since ${status.since})`,
    ...status.roots.map(
      ({ notAfter, signs }) => `root          ends ${notAfter}${signs ? ', signs' : ''}`,
    ),
    `issuer        ends ${status.issuerNotAfter}`,
    `bundle        ${status.bundleHash}`,
    ...status.advice,
    `sidecars      ${status.sidecars.length}`,
    ...status.sidecars.map(
      ({ hasBundle, id, instance, notAfter }) =>
        `  ${id} (${instance}) until ${notAfter}${hasBundle ? '' : ', has another bundle'}`,
    ),
    ...(status.phase === 'steady'
      ? []
      : status.waitsFor.length === 0
        ? ['next          `tracecar ca rotate` may begin the next phase']
        : ['waits for', ...status.waitsFor.map((each) => `  ${each}`)]),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

function stateOf(text: string | undefined, { place }: StateStore): AuthorityState {
  if (text === undefined) {
    throw new StartError(
      `${place} holds no authority of its own; \`tracecar ca --state ${place}\` makes one, unless its ` +
        'issuer comes from outside (--issuer-cert): then roots change there, and ' +
        '`tracecar ca status` says which sidecars have which',
    );
  }
  const state = readState(text);
  if ('problem' in state) throw new StartError(`${place}: authority.json: ${state.problem}`);
  return state;
}

async function readList(store: StateStore): Promise<SidecarList> {
  const text = (await store.read('sidecars'))?.text;
  if (text === undefined) return { sidecars: [], overfullUntilMs: 0 };
  const list = readReports(text);
  if (list !== undefined) return list;
  throw new StartError(
    `${store.place}: the list of sidecars cannot be read; the running authority writes it anew`,
  );
}
