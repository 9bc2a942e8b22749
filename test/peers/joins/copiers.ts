/**
 * Programs in four languages that ask another service for each request that they get, and copy the
 * headers that one variable names. How a program is started, and whether this machine can.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cached } from '../cache.ts';

const programs = join(import.meta.dirname, 'programs');
const preload = join(import.meta.dirname, '../../../injector/preload/tracecar-propagate.cjs');

export interface Copier {
  readonly language: string;
  readonly server: string;
  readonly client: string;
  /** CLIENT of the program. */
  readonly by: string;
  /** Runs and ends with status 0 where this machine has what the program needs. */
  readonly needs: readonly string[];
  /** The command that starts it, built when need be. */
  readonly command: () => Promise<readonly string[]>;
}

function python(by: string, client: string, needs: string): Copier {
  return {
    ...{ language: 'Python', server: 'http.server', client, by },
    needs: ['python3', '-c', needs],
    command: async () => ['python3', join(programs, 'copier.py')],
  };
}

function java(by: string, client: string): Copier {
  return {
    ...{ language: 'Java', server: 'com.sun.net.httpserver', client, by },
    needs: ['javac', '-version'],
    command: async () => ['java', '-cp', await built('copier.java', ['javac', '-d']), 'Copier'],
  };
}

function node(by: string, client: string, isPreloaded: boolean): Copier {
  const flags = isPreloaded ? ['--require', preload] : [];
  return {
    ...{ language: isPreloaded ? 'Node.js with the preload' : 'Node.js', server: 'node:http' },
    ...{ client, by },
    needs: [process.execPath, '--version'],
    command: async () => [process.execPath, ...flags, join(programs, 'copier.cjs')],
  };
}

export const copiers: readonly Copier[] = [
  node('http', 'http.get', true),
  node('fetch', 'fetch', true),
  node('fetch', 'fetch', false),
  python('urllib', 'urllib.request', 'import http.server'),
  python('requests', 'requests', 'import requests'),
  java('url-connection', 'HttpURLConnection'),
  java('http-client', 'java.net.http'),
  {
    ...{ language: 'Go', server: 'net/http', client: 'net/http', by: 'net/http' },
    needs: ['go', 'version'],
    command: async () => [await built('copier.go', ['go', 'build', '-o'])],
  },
];

/** What a compiler makes of a program, in the cache by the hash of its source; some seconds at first. */
function built(name: string, compiler: readonly [string, ...string[]]): Promise<string> {
  const source = join(programs, name);
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  return cached(`joins/${name}-${hash}`, async (out) => {
    const [program, ...args] = compiler;
    const { status, stderr } = spawnSync(program, [...args, out, source], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name} does not compile: ${stderr}`);
  });
}

/** Why a copier cannot run here; undefined when it can. */
export function whyNotHere({ needs }: Copier): string | undefined {
  const [program, ...args] = needs as [string, ...string[]];
  return spawnSync(program, args).status === 0 ? undefined : `\`${needs.join(' ')}\` fails here`;
}

export interface CopierOptions {
  readonly port: number;
  /** Where it asks: `http://127.0.0.1:PORT`. */
  readonly upstream: string;
  readonly copies: readonly string[];
}

/** Starts one and waits until it listens; `end` kills it. Rejects with its output when it ends first. */
export async function startCopier(copier: Copier, { port, upstream, copies }: CopierOptions) {
  const [program, ...args] = (await copier.command()) as [string, ...string[]];
  const child: ChildProcess = spawn(program, args, {
    env: {
      ...process.env,
      ...{ PORT: String(port), UPSTREAM: upstream, CLIENT: copier.by, COPY: copies.join(',') },
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (line.includes(' listens on ')) resolve();
      });
    }
    child.once('error', reject);
    ended.then(() => reject(new Error(`${copier.language} ended first:\n${lines.join('\n')}`)));
  });
  return {
    end: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}
