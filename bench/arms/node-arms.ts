/**
 * The arms on the same Node.js as Tracecar: packages that people use, and a simple proxy.
 *
 * Their programs are in bench/rivals/, and the packages in its package.json.
 */

import type { Arm } from './arm.ts';
import { findPackage, nodeCommand } from './find.ts';

export const nodeArms: readonly Arm[] = [
  {
    name: 'http-proxy',
    label: 'http-proxy',
    setting: 'npm package with a keep-alive agent',
    find: () => findPackage('http-proxy', 'bench/rivals/http-proxy.ts'),
    prepare: (place) => nodeCommand('http-proxy.ts', place),
  },
  {
    name: 'undici',
    label: 'undici',
    setting: 'node:http in front, a pool of undici behind, bodies streamed',
    find: () => findPackage('undici', 'bench/rivals/undici.ts'),
    prepare: (place) => nodeCommand('undici.ts', place),
  },
  {
    name: 'floor',
    label: 'bare Node.js',
    setting: "a simple proxy on Node.js's own streams: one head scan, traceparent added",
    find: () => ({ version: process.versions.node, program: 'bench/rivals/floor.ts' }),
    prepare: (place) => nodeCommand('floor.ts', place),
  },
];
