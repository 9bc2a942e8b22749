/**
 * The arms on the same Node.js as Tracecar: packages that people use, and the floor.
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
    setting: 'raw sockets, one head scan, traceparent added: what no Node.js proxy gets below',
    find: () => ({ version: process.versions.node, program: 'bench/rivals/floor.ts' }),
    prepare: (place) => nodeCommand('floor.ts', place),
  },
];
