/**
 * The peers that are built from Go modules: which programs, which versions, from which module.
 *
 * Versions are pinned by the go.mod and go.sum of test/peers/modules (CoreDNS by its version, checked
 * by Go's checksum database). A build is kept in the cache under version and checksums; the ordinary Go
 * build cache makes a second one take seconds. Cold on two cores: Kubernetes 5 min, Jaeger 3, CoreDNS 1.5.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cached, cachePath } from './cache.ts';

const modules = resolve(import.meta.dirname, 'modules');

export interface GoPeer {
  readonly name: string;
  readonly version: string;
  /** Programs it holds; the first stands for it. */
  readonly programs: readonly string[];
  readonly steps: readonly GoStep[];
}

/** One `go` command; GOBIN and `-o` lead to the output folder. */
interface GoStep {
  readonly title: string;
  /** A folder of test/peers/modules. */
  readonly module: string;
  readonly args: (out: string) => readonly string[];
}

const kubernetesVersion = '1.36.3';
const coreDnsVersion = '1.14.7';
const versionVariable = 'k8s.io/component-base/version';
const kubernetesFlags = [
  '-s -w',
  `-X ${versionVariable}.gitVersion=v${kubernetesVersion}`,
  `-X ${versionVariable}.gitMajor=1`,
  `-X ${versionVariable}.gitMinor=36`,
].join(' ');

function compile(module: string, name: string, what: string, flags = '-s -w'): GoStep {
  return {
    title: name,
    module,
    args: (out) => ['build', '-mod=readonly', '-ldflags', flags, '-o', join(out, name), what],
  };
}

export const goPeers: readonly GoPeer[] = [
  {
    name: 'kubernetes',
    version: kubernetesVersion,
    programs: [
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
      'kube-proxy',
      'kubelet',
      'kubectl',
      'etcd',
      'pause',
    ],
    steps: [
      ...['apiserver', 'controller-manager', 'scheduler', 'proxy']
        .map((part) => `kube-${part}`)
        .concat('kubelet', 'kubectl')
        .map((name) =>
          compile('kubernetes', name, `k8s.io/kubernetes/cmd/${name}`, kubernetesFlags),
        ),
      compile('kubernetes', 'etcd', './etcd'),
      compile('pause', 'pause', '.'),
    ],
  },
  {
    name: 'coredns',
    version: coreDnsVersion,
    programs: ['coredns'],
    steps: [
      {
        title: 'coredns',
        module: 'pause',
        args: () => [
          'install',
          '-ldflags',
          '-s -w',
          `github.com/coredns/coredns@v${coreDnsVersion}`,
        ],
      },
    ],
  },
  {
    name: 'jaeger',
    version: '1.76.0',
    programs: ['jaeger'],
    steps: [compile('jaeger', 'jaeger', 'github.com/jaegertracing/jaeger/cmd/jaeger')],
  },
];

/** Where a program of a Go peer is; undefined until it is built. */
export function findGoProgram(program: string): string | undefined {
  const peer = goPeers.find((each) => each.programs.includes(program));
  if (peer === undefined) return undefined;
  const path = join(cachePath(keyOf(peer)), program);
  return existsSync(path) ? path : undefined;
}

/** Where a program is; throws with the command that builds it. */
export function goProgram(program: string): string {
  const path = findGoProgram(program);
  if (path !== undefined) return path;
  const peer = goPeers.find((each) => each.programs.includes(program));
  throw new Error(`${program} is not built; run: npm run peers ${peer?.name ?? ''}`);
}

/** Whether there is a Go that can build them (it may fetch its own newer toolchain). */
export function hasGo(): boolean {
  return spawnSync('go', ['version']).status === 0;
}

/** Builds a peer unless the cache holds it. `say` gets a line for each program. */
export async function buildGoPeer(peer: GoPeer, say: (line: string) => void): Promise<string> {
  return await cached(keyOf(peer), async (out) => {
    if (!hasGo()) throw new Error(`${peer.name} is built with Go; install Go 1.26: https://go.dev`);
    mkdirSync(out);
    for (const [index, step] of peer.steps.entries()) {
      const started = performance.now();
      say(`building ${step.title} (${index + 1} of ${peer.steps.length} of ${peer.name})`);
      await runGo(step, out);
      say(`  built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    }
  });
}

function runGo(step: GoStep, out: string): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn('go', step.args(out), {
      cwd: join(modules, step.module),
      env: { ...process.env, GOBIN: out },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let tail = '';
    child.stderr.on('data', (chunk: Buffer) => {
      tail = (tail + chunk).slice(-2000);
    });
    child.on('error', failed);
    child.on('close', (status) => {
      if (status === 0) done();
      else failed(new Error(`building ${step.title} failed:\n${tail}`));
    });
  });
}

/** Version and a hash of everything that the build reads from this repository. */
function keyOf(peer: GoPeer): string {
  const hash = createHash('sha256');
  for (const module of new Set(peer.steps.map((step) => step.module))) {
    for (const file of ['go.mod', 'go.sum', 'main.go', 'etcd/main.go']) {
      const path = join(modules, module, file);
      if (existsSync(path)) hash.update(`${file}\n`).update(readFileSync(path));
    }
  }
  for (const step of peer.steps) hash.update(step.args('OUT').join('\0'));
  return `${peer.name}-${peer.version}-${process.arch}-${hash.digest('hex').slice(0, 12)}`;
}
