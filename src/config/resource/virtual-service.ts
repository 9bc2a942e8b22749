/**
 * VirtualService: the fields of networking.istio.io that say how a host's requests and connections are
 * routed.
 *
 * Implemented for HTTP: matches on uri, method, authority, headers and query parameters; weighted routes
 * with subsets; header edits; timeout. For connections: connection-route.ts. Everything else of Istio's
 * type is refused by name.
 */

import { isIP } from 'node:net';
import type { StringMatch } from '../../model/routing-table.ts';
import {
  checked,
  checkedText,
  judged,
  list,
  mapping,
  needed,
  optional,
  placed,
  type Reader,
  record,
  text,
} from '../syntax/schema.ts';
import { checkSniHosts, tcpRoutes, tlsRoutes } from './connection-route.ts';
import { type Destination, destination } from './destination.ts';
import { checkHeaderName, headers } from './header-rules.ts';
import { checkHttpRules, checkWeights } from './http-rule-checks.ts';
import { headerMatch, parameterMatch, stringMatch } from './string-match.ts';
import { duration, hostOrAddress, isDnsLabel, isDnsName, weight } from './values.ts';

/** Istio ignores these keys of `headers`, which misleads; Tracecar refuses them. */
const pseudoHeaders = new Set(['uri', 'scheme', 'method', 'authority']);

const headerMatches = mapping(headerMatch, (name, at, cursor) => {
  if (!pseudoHeaders.has(name)) return checkHeaderName(name, at, cursor);
  const message = `\`${name}\` is not a header`;
  const fix = `Write \`${name}:\` beside \`headers:\`, not inside.`;
  cursor.reading.complaints.add('bad-header-name', at, message, fix);
  return false;
});

const parameterMatches = mapping(parameterMatch, (name, at, cursor) => {
  if (name !== '') return true;
  const fix = 'Write the name of the parameter.';
  cursor.reading.complaints.add('bad-text', at, 'A query parameter has no name', fix);
  return false;
});

const pathMatch = checked(stringMatch, (match, cursor) => {
  if (match.kind === 'regex' || match.kind === 'present') return;
  const problem = pathProblem(match);
  if (problem === undefined) return;
  cursor.complain('match-never-holds', `No request has this path: ${problem[0]}`, problem[1]);
});

function pathProblem(
  match: StringMatch & { readonly value: string },
): [string, string] | undefined {
  const { value } = match;
  if (!value.startsWith('/')) return ['it does not begin with `/`', `Write \`/${value}\`.`];
  if (value.includes('?')) {
    return ['the query is not part of it', 'Match the query with `queryParams`.'];
  }
  if (value.includes('//')) {
    return ['`//` is read as `/`', `Write \`${value.replace(/\/{2,}/g, '/')}\`.`];
  }
  if (/\/\.{1,2}(?:\/|$)/.test(value) && (match.kind === 'exact' || /\/\.{1,2}\//.test(value))) {
    return ['`.` and `..` are resolved before matching', 'Write the path that they lead to.'];
  }
  return undefined;
}

const methodMatch = checked(stringMatch, (match, cursor) => {
  if (match.kind !== 'exact' || match.value === match.value.toUpperCase()) return;
  const fix = `Write \`${match.value.toUpperCase()}\`.`;
  cursor.complain('match-never-holds', 'Methods are upper-case', fix);
});

/** Compared with the authority in lower case and without its port. */
const authorityMatch: Reader<StringMatch> = (cursor) => {
  const match = stringMatch(cursor);
  if (match === undefined || match.kind === 'present' || match.kind === 'regex') return match;
  const value = match.value.toLowerCase();
  const port = isIP(value) === 6 ? null : /:\d*$/.exec(value);
  if (port === null) return { kind: match.kind, value };
  const name = value.slice(0, port.index);
  const message = 'Authorities are compared without their port; this one is cut';
  cursor.complain('authority-port', message, `Write \`${name}\`.`);
  return { kind: match.kind, value: name };
};

const notInMatches = {
  scheme: 'all requests of a listener have the same scheme',
  port: 'write the rule for the listener of that port',
  sourceLabels: 'rules for some callers only',
  sourceNamespace: 'rules for some callers only',
  gateways: 'rules for some gateways only',
  ignoreUriCase: 'write a regex that begins with `(?i)`',
  withoutHeaders: 'conditions on absent headers',
  statPrefix: 'statistics of single rules',
};

const requestMatch = judged(
  record(
    {
      name: optional(text),
      uri: optional(pathMatch),
      method: optional(methodMatch),
      authority: optional(authorityMatch),
      headers: optional(headerMatches),
      queryParams: optional(parameterMatches),
    },
    notInMatches,
  ),
);

const routeDestination = judged(
  record({
    destination: needed(destination),
    weight: optional(weight),
    headers: optional(headers),
  }),
);

const notInRules = {
  redirect: 'redirects',
  directResponse: 'direct responses',
  delegate: 'delegation to another VirtualService',
  rewrite: 'rewriting of paths and authorities',
  retries: 'retries',
  fault: 'fault injection',
  mirror: 'mirroring',
  mirrors: 'mirroring',
  mirrorPercent: 'mirroring',
  mirror_percent: 'mirroring',
  mirrorPercentage: 'mirroring',
  corsPolicy: 'CORS',
};

const httpRule = checked(
  record(
    {
      name: optional(text),
      match: optional(list(requestMatch)),
      route: needed(list(routeDestination)),
      headers: optional(headers),
      timeout: optional(duration),
    },
    notInRules,
  ),
  checkWeights,
);

/** `.` and `*` are implemented; namespaces by name are not. */
export const exportTo = list(
  checkedText((scope, cursor) => {
    if (scope === '.' || scope === '*') return scope;
    if (scope !== '~' && !isDnsLabel(scope)) {
      const fix = 'Write `*` for every namespace or `.` for this one.';
      return cursor.complain('bad-name', `\`${scope}\` is not a namespace`, fix);
    }
    const message = `\`${scope}\` is not implemented yet (exports to named namespaces)`;
    return cursor.complain('value-not-implemented', message, 'Write `.` or `*`.');
  }),
);

const gatewayName = checkedText((name, cursor) => {
  const parts = name.split('/');
  if (parts.length <= 2 && parts.every((part) => isDnsName(part))) return name;
  const fix = 'Write `mesh`, `NAME` or `NAMESPACE/NAME`.';
  return cursor.complain('bad-name', `\`${name}\` is not the name of a gateway`, fix);
});

const virtualServiceRecord = record({
  hosts: needed(list(placed(hostOrAddress))),
  gateways: optional(list(placed(gatewayName))),
  exportTo: optional(exportTo),
  http: optional(checked(list(httpRule), checkHttpRules)),
  tls: optional(tlsRoutes),
  tcp: optional(tcpRoutes),
});

export type VirtualServiceSpec = NonNullable<ReturnType<typeof virtualServiceRecord>>;

/** Undefined without rules of any kind: hosts that it binds would have none. */
export const virtualServiceSpec: Reader<VirtualServiceSpec> = (cursor) => {
  const spec = virtualServiceRecord(cursor);
  const written = cursor.entries()?.filter(({ value }) => !value.isNull);
  if (written?.every(({ key }) => !['http', 'tls', 'tcp'].includes(key))) {
    const place = { ...cursor.at, path: `${cursor.path}.http` };
    const fix = 'Add `http:` here (or `tls:` or `tcp:`).';
    cursor.reading.complaints.add('field-missing', place, '`http` is missing', fix);
  }
  if (spec === undefined) return undefined;
  checkSniHosts(spec.hosts, spec.tls, cursor);
  // One that is there and could not be read leaves nothing to route by.
  return spec.http || spec.tls || spec.tcp ? spec : undefined;
};

/** Of all rules, in their order. */
export function destinationsOf({ http, tls, tcp }: VirtualServiceSpec): readonly Destination[] {
  const rules = [...(http ?? []), ...(tls ?? []), ...(tcp ?? [])];
  return rules.flatMap(({ route }) => route.map((each) => each.destination));
}
