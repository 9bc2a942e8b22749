/**
 * `npm run build [-- --out DIR]`: dist/, one CommonJS bundle a program, and `dist/tracecar` that
 * starts them. What is in the folder goes first.
 *
 * The command's own bundle is a dispatcher of a few KiB; a program's bundle is loaded only when it is
 * asked for, so the sidecar parses no line of the viewer. Bundles start in a third of the time of the
 * sources and in less memory (docs/decisions/packages.md has the figures).
 */

import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build, type Plugin } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const { values } = parseArgs({ options: { out: { type: 'string', default: 'dist' } } });
/** From the folder of the checkout, where npm runs this. */
const out = resolve(root, values.out);
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version as string;

/** `src/main/proxy.ts` -> `proxy`, `injector/init/main.ts` -> `init`. */
function bundleName(path: string): string {
  return basename(path) === 'main.ts' ? basename(dirname(path)) : basename(path, '.ts');
}

/** The dispatcher's dynamic imports of programs become `require('./NAME.cjs')`. */
const programsStayOutside: Plugin = {
  name: 'programs-stay-outside',
  setup(plugin) {
    plugin.onResolve({ filter: /^\.\.\/(main\/.*|\.\.\/injector\/(.*\/)?main)\.ts$/ }, (args) =>
      args.kind === 'dynamic-import'
        ? { path: `./${bundleName(args.path)}.cjs`, external: true }
        : undefined,
    );
  },
};

const programs = [
  ...readdirSync(join(root, 'src/main')).map((name) => join(root, 'src/main', name)),
  ...globSync('injector/{main.ts,*/main.ts}', { cwd: root }).map((name) => join(root, name)),
].filter((path) => /^export async function run[A-Z]/m.test(readFileSync(path, 'utf8')));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const result = await build({
  entryPoints: [
    ...programs,
    join(root, 'src/cli/tracecar.ts'),
    { in: join(root, 'src/telemetry/worker.ts'), out: 'telemetry-worker' },
  ].map((entry) => (typeof entry === 'string' ? { in: entry, out: bundleName(entry) } : entry)),
  outdir: out,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node26',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'tracecarFileUrl', TRACECAR_VERSION: JSON.stringify(version) },
  banner: { js: "const tracecarFileUrl=require('node:url').pathToFileURL(__filename).href;" },
  plugins: [programsStayOutside],
});

mkdirSync(join(out, 'preload'));
cpSync(
  join(root, 'injector/preload/tracecar-propagate.cjs'),
  join(out, 'preload/tracecar-propagate.cjs'),
);
// The pinned runtime beside a checkout; inside the image and elsewhere the node on PATH.
writeFileSync(
  join(out, 'tracecar'),
  `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
node="$here/../node_modules/.bin/node"
[ -x "$node" ] || node=node
exec "$node" --disable-warning=ExperimentalWarning "$here/tracecar.cjs" "$@"
`,
);
chmodSync(join(out, 'tracecar'), 0o755);

for (const [file, { bytes }] of Object.entries(result.metafile.outputs)) {
  process.stdout.write(`${file.padEnd(32)} ${(bytes / 1024).toFixed(0).padStart(6)} KiB\n`);
}
