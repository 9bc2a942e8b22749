/**
 * How the preload gets into an application: by either flag, twice, into ES modules, bundles, worker
 * threads and cluster workers; into a Node that is too old; and into applications that get in its
 * way. Whatever happens, the application runs as if the file were not there.
 */

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { build, transform } from 'esbuild';
import {
  type Application,
  applicationNodes,
  judge,
  preloadPath,
  type StartOptions,
  startApplication,
  traceHeaders,
  type Verdict,
} from './application.ts';
import { callPath, closeDriver } from './driver.ts';
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts';

const apps = join(import.meta.dirname, 'apps');
const folder = mkdtempSync(join(tmpdir(), 'tracecar-preload-'));
let upstream: EchoUpstream;
let number = 0;

before(async () => {
  upstream = await startEchoUpstream();
});
after(() => {
  upstream.close();
  closeDriver();
  rmSync(folder, { recursive: true });
});

async function verdicts(application: Application, path: string): Promise<Verdict[]> {
  const sent = Array.from({ length: 20 }, () => traceHeaders(number++));
  const seen = await Promise.all(
    sent.map((each) => callPath(application, 'node:http', path, each)),
  );
  return [...new Set(seen.map((each, index) => judge(each, sent[index]!)))].sort();
}

async function withApplication(
  options: Omit<StartOptions, 'upstream'>,
  run: (application: Application) => Promise<void>,
): Promise<void> {
  const application = await startApplication({ ...options, upstream });
  try {
    await run(application);
    assert.equal(application.output(), '');
  } finally {
    await application.stop();
  }
}

/** Bundles and minifies the application of ES modules; undici 7, axios and grpc-js are inside. */
async function bundle(format: 'cjs' | 'esm'): Promise<string> {
  const outfile = join(folder, `bundle-${format}.${format === 'cjs' ? 'cjs' : 'mjs'}`);
  const banner =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  await build({
    entryPoints: [join(apps, 'named-imports.mjs')],
    outfile,
    bundle: true,
    minify: true,
    format,
    platform: 'node',
    target: 'node18',
    logLevel: 'silent',
    ...(format === 'esm' ? { banner: { js: banner } } : {}),
  });
  return outfile;
}

/** Outcomes other than "right": what cannot be patched or read is left without headers. */
const allowed: Readonly<Record<string, Readonly<Record<string, Verdict[]>>>> = {
  freeze: { fetch: ['missing', 'right'], 'undici 7: fetch': ['missing', 'right'] },
  break: { get: ['missing'], fetch: ['missing'], 'undici 7: fetch': ['missing'] },
};

for (const node of applicationNodes()) {
  suite(`loading into ${node}`, () => {
    for (const flag of ['--require', '--import'] as const) {
      test(`ES modules with named imports join, by ${flag}`, async () => {
        const file = join(apps, 'named-imports.mjs');
        await withApplication({ node, flag, file }, async (application) => {
          for (const path of application.paths) {
            assert.deepEqual(await verdicts(application, path), ['right'], path);
          }
        });
      });
    }

    for (const format of ['cjs', 'esm'] as const) {
      test(`in a minified ${format} bundle nothing is wrong, and all but gRPC joins once connected`, async (t) => {
        const file = await bundle(format);
        await withApplication({ node, flag: '--require', file }, async (application) => {
          // A handler of undici's own remembers its caller, whether the copy is known or not.
          const known = 'undici request, bounded agent';
          if (format === 'cjs') assert.deepEqual(await verdicts(application, known), ['right']);
          // Backwards: the paths that depend on having met the copy come first.
          for (const path of [...application.paths].reverse()) {
            const first = await verdicts(application, path);
            const isAllowed = first.every((each) => each === 'right' || each === 'missing');
            assert.ok(isAllowed, `${path}: ${first}`);
            if (first.includes('missing'))
              t.diagnostic(`${format}, first burst: ${path}: ${first}`);
          }
          for (const path of application.paths) {
            // A copy of grpc-js that nobody can meet is left out, never guessed.
            const outcome = path.includes('grpc') ? 'missing' : 'right';
            assert.deepEqual(await verdicts(application, path), [outcome], path);
          }
        });
      });
    }

    for (const kind of ['thread', 'cluster']) {
      test(`a ${kind} worker joins`, async () => {
        const options = { node, flag: '--require', file: join(apps, 'workers.cjs') } as const;
        await withApplication({ ...options, env: { WORKER_KIND: kind } }, async (application) => {
          for (const path of application.paths) {
            assert.deepEqual(await verdicts(application, path), ['right'], path);
          }
        });
      });
    }

    for (const mode of ['patch', 'freeze', 'break', 'domain']) {
      test(`an application that does "${mode}" runs as without the preload`, async () => {
        const options = { node, flag: '--require', file: join(apps, 'hostile.cjs') } as const;
        await withApplication({ ...options, env: { HOSTILE: mode } }, async (application) => {
          for (const path of ['get', 'fetch', 'undici 7: fetch']) {
            const found = await verdicts(application, path);
            const outcomes = allowed[mode]?.[path] ?? ['right'];
            const isAllowed = found.every((each) => outcomes.includes(each));
            assert.ok(isAllowed, `${path}: ${found}`);
          }
          await callPath(application, 'node:http', 'throw', traceHeaders(number++));
          const seen = await callPath(application, 'node:http', 'what was uncaught', {});
          assert.equal(seen.uncaught, 'thrown by the application');
          if (mode !== 'patch') return;
          const wrapped = await callPath(application, 'node:http', 'what was wrapped', {});
          assert.ok(Number(wrapped.requests) >= 20);
          assert.ok(Number(wrapped.emits) >= 100);
        });
      });
    }
  });
}

test('NODE_OPTIONS and two copies by both flags load it once', async () => {
  const copy = join(folder, 'copy.cjs');
  copyFileSync(preloadPath, copy);
  const options = {
    node: process.execPath,
    flag: '--require',
    file: join(apps, 'named-imports.mjs'),
    nodeFlags: [`--import=${copy}`],
    env: { NODE_OPTIONS: `--require=${preloadPath}` },
  } as const;
  await withApplication(options, async (application) => {
    assert.deepEqual(await verdicts(application, 'get'), ['right']);
    assert.deepEqual(await verdicts(application, 'built-in fetch'), ['right']);
  });
});

test('a Node older than 16 leaves it asleep', async () => {
  const pretend =
    "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'14.21.3'})";
  const file = join(apps, 'named-imports.mjs');
  const options = { node: process.execPath, flag: '--import', file } as const;
  await withApplication({ ...options, nodeFlags: ['--import', pretend] }, async (application) => {
    assert.deepEqual(await verdicts(application, 'get'), ['missing']);
  });
});

test('the file is written in the syntax of Node 8', async () => {
  const source = readFileSync(preloadPath, 'utf8');
  // Template literals are of ES2015; esbuild lowers them for Node 8 out of caution.
  const supported = { 'template-literal': true };
  const [old, current] = await Promise.all(
    ['es2017', 'es2024'].map((target) => transform(source, { target, supported, loader: 'js' })),
  );
  assert.equal(old!.code, current!.code);
});
