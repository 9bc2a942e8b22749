/**
 * ServiceEntry: the fields of networking.istio.io that define services and their endpoints.
 *
 * Implemented: ports of any TCP protocol, endpoints with labels and own ports or selected by labels,
 * STATIC and DNS resolution. Everything else of Istio's type is refused by name. Names of DNS
 * endpoints are kept as names: the proxy asks the system's resolver for each connection that it
 * opens, so it holds no answer beyond its TTL, but a connection that is open stays with its address
 * until it is idle for the pool's idle time.
 */

import { isIP } from 'node:net';
import type { Cursor } from '../syntax/cursor.ts';
import { checked, choice, list, needed, optional, placed, record, text } from '../syntax/schema.ts';
import { servicePort } from './http-port.ts';
import { addressRange, hostPattern, isDnsName, labels } from './values.ts';
import { exportTo } from './virtual-service.ts';
import { checkAccount, workloadFields, workloadFieldsLater } from './workload-entry.ts';

const endpoint = checked(
  record({ address: optional(placed(text)), ...workloadFields }, workloadFieldsLater),
  checkAccount,
);

const ports = checked(list(servicePort), (all, cursor) => {
  const numbers = new Set<number>();
  const names = new Set<string>();
  for (const port of all) {
    const isNumberTaken = numbers.has(port.number);
    if (isNumberTaken || names.has(port.name)) {
      const field = isNumberTaken ? 'number' : 'name';
      const place = {
        ...port.at,
        path: `${port.at.path}.${field}`,
        offset: port.offsets[field]!,
      };
      const message = `Another port has the ${field} \`${port[field]}\` already`;
      const fix = `Give each port a ${field} of its own.`;
      cursor.reading.complaints.add('duplicate-port', place, message, fix);
    }
    numbers.add(port.number);
    names.add(port.name);
  }
});

const serviceEntryRecord = record(
  {
    hosts: needed(list(placed(hostPattern))),
    addresses: optional(list(addressRange)),
    ports: needed(ports),
    location: optional(choice({ MESH_EXTERNAL: 'external', MESH_INTERNAL: 'internal' })),
    resolution: optional(
      choice<'static' | 'dns'>(
        { STATIC: 'static', DNS: 'dns' },
        {
          NONE: 'it forwards to where the application was going; that needs no entry where the unknown may be called',
          DNS_ROUND_ROBIN: 'DNS with one address at a time',
          DYNAMIC_DNS: 'DNS for wildcards',
        },
      ),
    ),
    endpoints: optional(list(endpoint)),
    workloadSelector: optional(record({ labels: needed(labels) })),
    exportTo: optional(exportTo),
  },
  {
    subjectAltNames: 'verification of TLS names',
  },
);

export type ServiceEntrySpec = NonNullable<ReturnType<typeof serviceEntryRecord>>;

export const serviceEntrySpec = checked(serviceEntryRecord, (spec, cursor) => {
  checkHosts(spec, cursor);
  checkResolution(spec, cursor);
  checkEndpoints(spec, cursor);
});

function checkHosts(spec: ServiceEntrySpec, cursor: Cursor): void {
  const { complaints } = cursor.reading;
  const seen = new Set<string>();
  for (const { value, at } of spec.hosts) {
    if (seen.has(value)) {
      const message = `\`${value}\` stands twice in this list`;
      complaints.add('duplicate-host', at, message, 'Remove one of the two.');
    }
    seen.add(value);
    if (!value.startsWith('*')) continue;
    const message = `\`${value}\` is not implemented yet (services with a wildcard name)`;
    complaints.add('value-not-implemented', at, message, 'Write each host by its full name.');
  }
}

function checkResolution(spec: ServiceEntrySpec, cursor: Cursor): void {
  if (!('resolution' in spec.offsets)) {
    const place = { ...cursor.at, path: `${cursor.path}.resolution` };
    const message = '`resolution` is missing; its default in Istio, NONE, is not implemented';
    const fix = 'Add `resolution: STATIC` (addresses in `endpoints`) or `resolution: DNS`.';
    cursor.reading.complaints.add('field-missing', place, message, fix);
  }
  if ('endpoints' in spec.offsets && 'workloadSelector' in spec.offsets) {
    const { complaints } = cursor.reading;
    const offset = spec.offsets.workloadSelector!;
    const place = { ...cursor.at, path: `${cursor.path}.workloadSelector`, offset };
    const message = '`workloadSelector` and `endpoints` exclude each other';
    complaints.add('one-of', place, message, 'Remove one of the two.');
  }
  const hasEndpoints = 'endpoints' in spec.offsets || 'workloadSelector' in spec.offsets;
  if (spec.resolution !== 'static' || hasEndpoints) return;
  const place = { ...cursor.at, path: `${cursor.path}.endpoints` };
  const message = '`endpoints` is missing: STATIC resolution takes its addresses from there';
  cursor.reading.complaints.add('field-missing', place, message, 'Add `endpoints:` here.');
}

function checkEndpoints(spec: ServiceEntrySpec, cursor: Cursor): void {
  const { complaints } = cursor.reading;
  const names = new Set(spec.ports.map((port) => port.name));
  for (const each of spec.endpoints ?? []) {
    if (each.address === undefined) {
      if ('address' in each.offsets) continue;
      const place = { ...each.at, path: `${each.at.path}.address` };
      const fix = 'Add `address:` with an IP address or a DNS name.';
      complaints.add('field-missing', place, '`address` is missing', fix);
    } else checkAddress(each.address, spec.resolution, cursor);
    for (const { key, keyAt } of each.ports ?? []) {
      if (names.has(key)) continue;
      const message = `\`${key}\` is not the name of a port of this ServiceEntry`;
      const fix = `Write one of: ${[...names].join(', ')}.`;
      complaints.add('unknown-port', keyAt, message, fix);
    }
  }
}

function checkAddress(
  address: NonNullable<NonNullable<ServiceEntrySpec['endpoints']>[number]['address']>,
  resolution: ServiceEntrySpec['resolution'],
  cursor: Cursor,
): void {
  const { value, at } = address;
  if (isIP(value) !== 0) return;
  const { complaints } = cursor.reading;
  if (value.startsWith('unix:')) {
    const message = 'Unix sockets are not implemented yet';
    complaints.add('bad-address', at, message, 'Write an IP address.');
  } else if (!isDnsName(value.toLowerCase())) {
    const message = `\`${value}\` is not an address`;
    complaints.add('bad-address', at, message, 'Write an IP address, without a port.');
  } else if (resolution === 'static') {
    const message = `\`${value}\` is a name, but STATIC resolution takes IP addresses`;
    complaints.add('bad-address', at, message, 'Write an IP address, or `resolution: DNS`.');
  }
}
