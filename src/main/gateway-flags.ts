/**
 * What `tracecar proxy` is told about being a gateway: where Secrets are mounted and who stands before it.
 */

import { resolve } from 'node:path';
import { usualSecretsFolder } from '../config/compile/gateway-credentials.ts';
import type { OutsideTrust } from '../proxy/scope/proxy-scope.ts';
import { type Flag, UsageError } from './flags.ts';

export const gatewayFlags: readonly Flag[] = [
  {
    name: 'secrets',
    value: 'DIR',
    isPath: true,
    otherwise: usualSecretsFolder,
    help: 'where Secrets are mounted: of `shop` DIR/shop/tls.crt and tls.key',
  },
  {
    name: 'trusted-hops',
    value: 'NUMBER',
    otherwise: '0',
    help: 'proxies before a gateway whose X-Forwarded-For is believed',
  },
  {
    name: 'proxy-protocol',
    value: 'off|on',
    choices: ['off', 'on'],
    otherwise: 'off',
    help: 'on: connections to a gateway begin with a PROXY header, version 1 or 2',
  },
];

export interface GatewayChoices {
  readonly secretsFolder: string;
  readonly outside: OutsideTrust;
}

const HOPS_MAX = 32;

/** Throws UsageError with one line about the first mistake. */
export function readGatewayFlags(values: ReadonlyMap<string, readonly string[]>): GatewayChoices {
  const hops = values.get('trusted-hops')?.[0] ?? '0';
  if (!/^\d{1,2}$/.test(hops) || Number(hops) > HOPS_MAX) {
    throw new UsageError(`--trusted-hops is 0 to ${HOPS_MAX}, not '${hops}'`);
  }
  return {
    secretsFolder: resolve(values.get('secrets')?.[0] ?? usualSecretsFolder),
    outside: {
      trustedHops: Number(hops),
      takesProxyHeader: values.get('proxy-protocol')?.[0] === 'on',
    },
  };
}
