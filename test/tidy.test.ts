/**
 * The house rules and the architecture, run as a test (STYLE.md section 2 of the project's papers,
 * ARCHITECTURE.md here).
 *
 * It reads the sources as text: no rule depends on a compiler's interface. An exception is listed by
 * path with its reason and may only shrink: a listed file that no longer needs it fails too.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '..');
const fileLinesMax = 600;
const functionLinesMax = 70;
const lineColumnsMax = 100;

/** Layer of each room of src/; an import goes to the own room or to a lower layer. */
const layers: Readonly<Record<string, number>> = {
  base: 0,
  model: 1,
  wire: 1,
  telemetry: 2,
  identity: 2,
  discovery: 2,
  kube: 2,
  routing: 3,
  balancing: 3,
  policy: 3,
  config: 3,
  proxy: 4,
  admin: 4,
  viewer: 4,
  control: 4,
  main: 5,
  cli: 6,
};
const sharedRooms = new Set(['base', 'model', 'telemetry', 'identity', 'discovery', 'viewer']);
const dataRooms = new Set(['wire', 'routing', 'balancing', 'policy', 'proxy', 'admin']);
const controlRooms = new Set(['kube', 'config', 'control']);

/** The folders of large rooms, from the top down; a room's own files stand above them all. */
const folders: Readonly<Record<string, readonly string[]>> = {
  config: ['compile', 'world', 'resource', 'syntax'],
  proxy: [
    'capture',
    'gateway',
    'exchange',
    'tunnel',
    'plan',
    'mesh',
    'upstream',
    'tls',
    'trace',
    'scope',
    'socket',
  ],
  telemetry: ['export', 'keep', 'metrics', 'span', 'context', 'record', 'transport', 'settings'],
};
/** Imports between them that run up, with the reason. May only shrink. */
const upwards: Readonly<Record<string, string>> = {
  'proxy/plan/plan.ts -> exchange/guard.ts': 'a plan holds the guard of its policies, by type',
  'proxy/scope/proxy-scope.ts -> exchange/exchange-pool.ts':
    'exchanges that wait belong to the proxy and not to a connection',
};

/** Packages and the rooms (or top-level folders) that may import them: docs/decisions/packages.md. */
const packageRooms: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^undici$/, ['kube', 'cli', 'main']],
  [/^yaml$/, ['config', 'injector/offline']],
  [/^@opentelemetry\//, ['telemetry', 'injector/spans.ts']],
  [/^node-forge(\/|$)/, ['identity']],
  [/^koffi$/, ['proxy']],
];

/** What injector/ may import of src/: it is a program of the control plane, with a main's tools. */
const injectorRooms = ['base', 'model', 'telemetry', 'identity', 'kube', 'config', 'main'];
/** Those tools; everything else of main is a program of its own. */
const mainTools =
  /^src\/main\/(flags|hide-memory|listen-problem|log|node-version|socket-address|version)\.ts$/;

/** Longer than allowed, with the reason. May only shrink. */
const longFiles: Readonly<Record<string, { lines: number; why: string }>> = {};

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function listFiles(folder: string, wanted: RegExp): string[] {
  const found: string[] = [];
  for (const name of readdirSync(join(root, folder))) {
    if (name === 'node_modules' || name === 'dist' || name.startsWith('.')) continue;
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) found.push(...listFiles(path, wanted));
    else if (wanted.test(name)) found.push(path);
  }
  return found;
}

function read(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, text, lines: text.split('\n') };
}

const code = /\.(ts|cjs|mjs|tsx)$/;
const product = ['src', 'injector'].flatMap((folder) => listFiles(folder, code)).map(read);
const others = ['test', 'bench', 'examples', 'tools']
  .flatMap((folder) => listFiles(folder, code))
  .map(read);
const everything = [...product, ...others];

function roomOf(path: string): string {
  const parts = path.split('/');
  return parts[0] === 'src' ? (parts[1] ?? '') : (parts[0] ?? '');
}

/** Whether a file is in a room of src/, or in a folder or file by its path. */
function isIn(path: string, place: string): boolean {
  return roomOf(path) === place || path === place || path.startsWith(`${place}/`);
}

function importsOf(source: Source): string[] {
  const found: string[] = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*'([^']+)'|import\('([^']+)'\)|(?:^|\n)import '([^']+)'|new URL\('(\.[^']+\.ts)'/g;
  for (const match of source.text.matchAll(pattern)) {
    found.push((match[1] ?? match[2] ?? match[3] ?? match[4])!);
  }
  return found;
}

function complain(complaints: readonly string[]): void {
  assert.equal(complaints.length, 0, `\n${complaints.join('\n')}\n`);
}

test('an import goes to the own room or to a lower layer', () => {
  const complaints: string[] = [];
  for (const source of product.filter((each) => each.path.startsWith('src/'))) {
    const from = roomOf(source.path);
    assert.ok(from in layers, `${source.path}: no room of the architecture`);
    for (const target of importsOf(source).filter((each) => each.startsWith('.'))) {
      const path = relative(root, resolve(root, dirname(source.path), target));
      if (!path.startsWith('src/')) {
        const allowed = from === 'cli' && path.startsWith('injector/');
        if (!allowed) complaints.push(`${source.path} imports ${path}, outside src/`);
        continue;
      }
      const to = roomOf(path);
      if (to === from) continue;
      if ((layers[to] ?? 99) >= layers[from]!) {
        complaints.push(`${source.path} (${from}) imports ${path} (${to}): sideways or up`);
      }
    }
  }
  complain(complaints);
});

test('in a room with folders, an import goes to the own folder or to a lower one', () => {
  const complaints: string[] = [];
  const met = new Set<string>();
  for (const [room, order] of Object.entries(folders)) {
    const home = `src/${room}/`;
    const folderOf = (path: string) => (path.includes('/') ? path.split('/')[0]! : '');
    const floorOf = (path: string) => order.indexOf(folderOf(path));
    for (const source of product.filter((each) => each.path.startsWith(home))) {
      const own = source.path.slice(home.length);
      if (folderOf(own) !== '' && floorOf(own) < 0) complaints.push(`${source.path}: no folder`);
      for (const target of importsOf(source).filter((each) => each.startsWith('.'))) {
        const path = relative(root, resolve(root, dirname(source.path), target));
        if (!path.startsWith(home)) continue;
        const other = path.slice(home.length);
        if (floorOf(other) >= floorOf(own)) continue;
        met.add(`${room}/${own} -> ${other}`);
      }
    }
  }
  complaints.push(...[...met].filter((arrow) => !(arrow in upwards)).map((each) => `${each}: up`));
  for (const arrow of Object.keys(upwards)) {
    if (!met.has(arrow)) complaints.push(`${arrow}: listed, and not there any more`);
  }
  complain(complaints);
});

test('the injector imports the control plane and the tools of programs', () => {
  const complaints: string[] = [];
  for (const source of product.filter((each) => each.path.startsWith('injector/'))) {
    for (const target of importsOf(source).filter((each) => each.startsWith('.'))) {
      const path = relative(root, resolve(root, dirname(source.path), target));
      const isAllowed =
        path.startsWith('injector/') ||
        (injectorRooms.includes(roomOf(path)) &&
          (roomOf(path) !== 'main' || mainTools.test(path)) &&
          path !== 'src/telemetry/worker.ts');
      if (!isAllowed) complaints.push(`${source.path} imports ${path}`);
    }
  }
  complain(complaints);
});

test('the data plane and the control plane never import each other', () => {
  const complaints: string[] = [];
  for (const source of product.filter((each) => each.path.startsWith('src/'))) {
    const from = roomOf(source.path);
    for (const target of importsOf(source).filter((each) => each.startsWith('.'))) {
      const to = roomOf(relative(root, resolve(root, dirname(source.path), target)));
      const crossed =
        (dataRooms.has(from) && controlRooms.has(to)) ||
        (controlRooms.has(from) && dataRooms.has(to)) ||
        (sharedRooms.has(from) && !sharedRooms.has(to));
      if (crossed) complaints.push(`${source.path} (${from}) imports ${to}: across the planes`);
    }
  }
  complain(complaints);
});

test('a package is imported only in its rooms', () => {
  const complaints: string[] = [];
  for (const source of product) {
    for (const target of importsOf(source)) {
      if (target.startsWith('.') || target.startsWith('node:')) continue;
      const row = packageRooms.find(([name]) => name.test(target));
      if (row === undefined) complaints.push(`${source.path}: ${target} has no room`);
      else if (!row[1].some((place) => isIn(source.path, place))) {
        complaints.push(`${source.path}: ${target} belongs to ${row[1].join(', ')}`);
      }
    }
  }
  complain(complaints);
});

test('files have kebab-case names that say a noun', () => {
  const vague = /(^|-)(util|utils|helper|helpers|manager|misc|common)(-|\.|$)/;
  const complaints = everything
    .filter(({ path }) => {
      const name = basename(path);
      return !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|bench|d))?\.(ts|tsx|cjs|mjs)$/.test(name);
    })
    .map(({ path }) => `${path}: not kebab-case`);
  for (const { path } of everything) {
    if (path.split('/').some((part) => vague.test(part))) complaints.push(`${path}: vague name`);
  }
  complain(complaints);
});

test('files and lines stay short', () => {
  const complaints: string[] = [];
  for (const { path, lines } of everything) {
    const allowed = longFiles[path]?.lines ?? fileLinesMax;
    if (lines.length > allowed) complaints.push(`${path}: ${lines.length} lines`);
    if (path in longFiles && lines.length <= fileLinesMax) {
      complaints.push(`${path}: no longer needs its exception`);
    }
    lines.forEach((line, index) => {
      // Biome keeps what it cannot break: a long text, pattern or import is no matter of style.
      const unbreakable = /^\s*(['"`/*]|import |\} from |\[)|['"`/][^'"`]{60,}|`/.test(line);
      if (line.length > lineColumnsMax && !unbreakable) {
        complaints.push(`${path}:${index + 1}: ${line.length} columns`);
      }
    });
  }
  complain(complaints);
});

test('a function fits on a page', () => {
  const complaints: string[] = [];
  const opening =
    /^(\s*)(?:export )?(?:(?:async )?function\b.*\{|(?:(?:static|async|override|get|set|private) )*#?[\w$]+\(.*\).*\{|.*=> \{)$/;
  const statement =
    /^\s*(if|for|while|switch|catch|else|try|do|return|describe|suite|test|class)\b/;
  for (const { path, lines } of product) {
    lines.forEach((line, start) => {
      const match = opening.exec(line);
      if (match === null || statement.test(line)) return;
      const end = lines.findIndex((other, index) => {
        return index > start && other.startsWith(`${match[1]}}`);
      });
      if (end - start + 1 > functionLinesMax) {
        complaints.push(`${path}:${start + 1}: ${end - start + 1} lines in one function`);
      }
    });
  }
  complain(complaints);
});

test('every file of the product opens with what it is', () => {
  const complaints: string[] = [];
  for (const { path, lines } of product) {
    const first = lines[0]?.startsWith('#!') ? lines.slice(1) : lines;
    const at = first[0] === "'use strict';" ? first.slice(1) : first;
    const start = at.findIndex((line) => line !== '');
    if (!at[start]?.startsWith('/**')) complaints.push(`${path}: no header comment`);
  }
  complain(complaints);
});

test('sources strip to JavaScript and export by name', () => {
  const banned: readonly (readonly [RegExp, string])[] = [
    [/^\s*(export )?(const )?enum\s/m, 'enum'],
    [/^\s*(export )?namespace\s/m, 'namespace'],
    [
      /constructor\((?:[^)]*,)?\s*(?:private|public|protected|readonly)\s+\w+\s*[?:]/s,
      'parameter property',
    ],
    [/^export default\b/m, 'default export'],
    [/^export \* from/m, 'barrel'],
    [/(:|<|\bas)\s*any\b(?!\w)/, 'any'],
    [/^\s*@\w+\(/m, 'decorator'],
  ];
  const complaints: string[] = [];
  for (const { path, text } of product.filter((each) => each.path.endsWith('.ts'))) {
    const bare = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
    for (const [pattern, what] of banned) {
      if (pattern.test(bare)) complaints.push(`${path}: ${what}`);
    }
  }
  complain(complaints);
});

test('only base reads the clock, randomness and timers', () => {
  const hidden =
    /\bDate\.now\b|\bnew Date\(\)|\bperformance\.|\bMath\.random\b|(?<![.\w])setTimeout\(|(?<![.\w])setInterval\(|\bprocess\.hrtime\b|\brandomBytes\(|\brandomFillSync\(|\brandomUUID\(/;
  const complaints = product
    .filter(({ path }) => path.startsWith('src/') && roomOf(path) !== 'base')
    // The page has no base: a browser's clock and timers are read there in one file.
    .filter(({ path }) => path !== 'src/viewer/page/clock.ts')
    .filter(({ text }) =>
      hidden.test(text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')),
    )
    .map(({ path }) => `${path}: reads the clock, randomness or a timer`);
  complain(complaints);
});

test('only programs read the environment, exit and print', () => {
  const outside = /\bprocess\.(env|exit|argv|stdout|stderr)\b|\bconsole\./;
  const allowed = (path: string) =>
    /^src\/(main|cli)\//.test(path) || /^injector\/(([\w-]+\/)?main|preload)\b/.test(path);
  const complaints = product
    .filter(({ path }) => !allowed(path))
    .filter(({ text }) =>
      outside.test(text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')),
    )
    .map(({ path }) => `${path}: belongs into main or cli`);
  complain(complaints);
});

test('tests wait for events, run all of themselves and state facts', () => {
  const complaints: string[] = [];
  for (const { path, lines } of others.filter((each) => each.path.endsWith('.test.ts'))) {
    if (path === 'test/tidy.test.ts') continue;
    lines.forEach((line, index) => {
      const at = `${path}:${index + 1}`;
      if (/\b(test|it|describe)\.only\(/.test(line)) complaints.push(`${at}: only`);
      if (/\bskip: true\b|\b(test|it)\.skip\(/.test(line)) complaints.push(`${at}: silent skip`);
      if (/timers\/promises'/.test(line)) complaints.push(`${at}: sleeps`);
      if (/\btest\(\s*['"`].*\bshould\b/.test(line)) complaints.push(`${at}: "should"`);
    });
  }
  complain(complaints);
});

test('dependencies are exact', () => {
  const complaints: string[] = [];
  for (const path of ['package.json', 'tools/runtime/package.json']) {
    const manifest = JSON.parse(readFileSync(join(root, path), 'utf8'));
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
      for (const [name, version] of Object.entries<string>(manifest[kind] ?? {})) {
        if (!/^(npm:[@\w/-]+@)?\d+\.\d+\.\d+$/.test(version)) {
          complaints.push(`${path}: ${name} ${version}`);
        }
      }
    }
  }
  complain(complaints);
});
