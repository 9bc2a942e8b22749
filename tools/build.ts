/**
 * `npm run build [-- --out DIR]`: dist/, one CommonJS bundle a program, and `dist/tracecar` that
 * starts them. What is in the folder goes first.
 *
 * The command's own bundle is a dispatcher of a few KiB; a program's bundle is loaded only when it is
 * asked for, so the sidecar parses no line of the viewer. Bundles start in a third of the time of the
 * sources and in less memory (docs/decisions/packages.md has the figures). The sidecar also finds the
 * code that V8 made of its bundle (src/cli/keep-code.ts).
 */

import { execFileSync } from 'node:child_process';
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
import { preloadNames } from '../injector/init/preload-copy.ts';
import { copyKoffi } from './koffi-copy.ts';
import {
  keeperFlags,
  launcherEnvironment,
  launcherFlags,
  sidecarSemiSpaceMib,
} from './launcher.ts';

const root = resolve(import.meta.dirname, '..');
const { values } = parseArgs({ options: { out: { type: 'string', default: 'dist' } } });
/** From the folder of the checkout, where npm runs this. */
const out = resolve(root, values.out);
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version as string;

/** `src/main/proxy.ts` -> `proxy`, `injector/init/main.ts` -> `init`. */
function bundleName(path: string): string {
  return basename(path) === 'main.ts' ? basename(dirname(path)) : basename(path, '.ts');
}

/**
 * The dispatcher's dynamic imports of programs load `NAME.cjs` with its kept code; the viewer's of its
 * client, which brings a megabyte of HTTP client that a server never runs, is a plain `require`.
 */
const programsStayOutside: Plugin = {
  name: 'programs-stay-outside',
  setup(plugin) {
    const program = /^(\.\.\/main\/.*|\.\.\/\.\.\/injector\/(.*\/)?main)\.ts$/;
    plugin.onResolve({ filter: program }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: bundleName(path), namespace: 'program' } : undefined,
    );
    plugin.onLoad({ filter: /./, namespace: 'program' }, ({ path }) => ({
      contents: `import { loadBundle } from './load-bundle.ts';
        module.exports = loadBundle(require, __dirname, '${path}');`,
      resolveDir: join(root, 'src/cli'),
    }));
    plugin.onResolve({ filter: /^\.\/view-trace\.ts$/ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: `./${bundleName(path)}.cjs`, external: true } : undefined,
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
    join(root, 'src/cli/keep-code.ts'),
    join(root, 'src/main/view-trace.ts'),
    join(root, 'src/config/compile-worker.ts'),
    join(root, 'src/admin/health-worker.ts'),
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

// The page of the viewer; browsers that know light-dark(), which its style is made of.
const page = await build({
  entryPoints: [
    { in: join(root, 'src/viewer/page/app.ts'), out: 'page' },
    { in: join(root, 'src/viewer/page/style.css'), out: 'page' },
  ],
  outdir: out,
  bundle: true,
  platform: 'browser',
  format: 'esm',
  target: ['chrome123', 'firefox120', 'safari17.5'],
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
});
cpSync(join(root, 'src/viewer/page/icon.svg'), join(out, 'page.svg'));

mkdirSync(join(out, 'preload'));
for (const name of preloadNames) {
  cpSync(join(root, 'injector/preload', name), join(out, 'preload', name));
}
const koffiBytes = copyKoffi(root, out);
const exported = Object.entries(launcherEnvironment).map(([name, value]) => `${name}=${value}`);
// The pinned runtime beside a checkout; inside the image and elsewhere the node on PATH. Started by its
// own path it runs no other program: each one would cost a start 1 to 2 ms.
writeFileSync(
  join(out, 'tracecar'),
  `#!/bin/sh
file=$0
[ -L "$file" ] && file=$(readlink -f "$file")
here=\${file%/*}
[ "$here" = "$file" ] && here=.
node="$here/../node_modules/.bin/node"
[ -x "$node" ] || node=node
export ${exported.join(' ')}
young=${sidecarSemiSpaceMib}
[ "$1" = injector ] && young=16
# Programs that hold private keys leave no core file, and no signal opens their debugger.
keeper=
case "$1" in proxy | ca | injector) ulimit -c 0 && keeper='${keeperFlags.join(' ')}' ;; esac
young=--max-semi-space-size=$young
exec "$node" ${launcherFlags.join(' ')} $keeper $young "$here/tracecar.cjs" "$@"
`,
);
chmodSync(join(out, 'tracecar'), 0o755);
execFileSync(process.execPath, [join(out, 'keep-code.cjs')], { stdio: 'inherit' });

const outputs = { ...result.metafile.outputs, ...page.metafile.outputs };
for (const [file, { bytes }] of Object.entries(outputs)) {
  process.stdout.write(`${file.padEnd(32)} ${(bytes / 1024).toFixed(0).padStart(6)} KiB\n`);
}
process.stdout.write(
  koffiBytes === 0
    ? 'koffi is not installed here: this dist/ captures connections only where Node.js has node:ffi\n'
    : `${'node_modules (koffi)'.padEnd(32)} ${(koffiBytes / 1024).toFixed(0).padStart(6)} KiB\n`,
);
