/**
 * The demo's authority: `tracecar ca` with a folder of its own, which goes when the demo ends.
 *
 *   folder ── state                          roots, issuer, tokens: the authority's alone
 *          ├─ roots.pem                      what everybody believes
 *          └─ web.token, reviews.token, ...  who shows it is that service account
 */

import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Children } from './children.ts';
import { tracecar } from './command.ts';
import type { Place } from './plan.ts';

const run = promisify(execFile);
/** The user of sidecars that `tracecar run` starts. */
const sidecarUser = 1337;

export interface DemoAuthority {
  /** Where it signs, ADDR:PORT. */
  readonly address: string;
  /** What a sidecar of a service account is told; each is also a flag of `tracecar proxy`. */
  variablesFor(account: string): Readonly<Record<string, string>>;
}

/** What it says when it is ready. */
interface CaReady {
  readonly sign: Place;
}

/** Starts it and has a token made for each service account. */
export async function startAuthority(
  children: Children,
  accounts: readonly string[],
): Promise<DemoAuthority> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-demo-ca-'));
  // When we are killed, the authority does it.
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const state = ['--state', join(folder, 'state')];
  const any = '127.0.0.1:0';
  const { sign } = await children.start<CaReady>({
    name: 'authority',
    args: tracecar('ca', ...state, '--listen', any, '--metrics', any),
    environment: { TRACECAR_DEMO_FOLDER: folder },
    isReady: (line) => {
      if (!line.includes('"message":"serving"')) return undefined;
      return JSON.parse(line) as CaReady;
    },
  });
  const address = `${sign.address}:${sign.port}`;
  const ask = async (...args: readonly string[]) =>
    (await run(process.execPath, tracecar('ca', ...args, ...state))).stdout;
  const keep = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o400 });
    if (process.getuid?.() === 0) chownSync(path, sidecarUser, sidecarUser);
  };
  keep('roots.pem', readFileSync(join(folder, 'state', 'bundle.pem'), 'utf8'));
  await Promise.all(
    accounts.map(async (account) =>
      keep(`${account}.token`, await ask('token', '--service-account', account)),
    ),
  );
  chmodSync(folder, 0o711);
  return {
    address,
    variablesFor: (account) => ({
      TRACECAR_IDENTITY: address,
      TRACECAR_TOKEN: join(folder, `${account}.token`),
      TRACECAR_TRUST_BUNDLE: join(folder, 'roots.pem'),
      TRACECAR_SERVICE_ACCOUNT: account,
    }),
  };
}
