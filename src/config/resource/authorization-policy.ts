/**
 * AuthorizationPolicy and RequestAuthentication: the fields of security.istio.io that say who may call.
 *
 * All of Istio's fields that can be known without a token or a server that is asked. What cannot be
 * evaluated and what is wrong in any way makes the whole policy one that denies everything it selects:
 * a mistake must never open what somebody meant to close, so nothing here is read around it.
 */

import type {
  AuthorizationRule,
  ConditionMatch,
  OperationMatch,
  SourceMatch,
  ValueMatch,
} from '../../model/security.ts';
import type { Cursor } from '../syntax/cursor.ts';
import {
  anyList,
  checked,
  choice,
  type Located,
  list,
  needed,
  openRecord,
  optional,
  type Reader,
  record,
  text,
} from '../syntax/schema.ts';
import { pathPattern } from './authorization-path.ts';
import {
  authorityPattern,
  fieldValuePattern,
  methodPattern,
  namespacePattern,
  portPattern,
  principalPattern,
  rangePattern,
  serverNamePattern,
  serviceAccountPattern,
  trustDomainPattern,
} from './authorization-pattern.ts';
import { checkHeaderName } from './header-rules.ts';
import { labels } from './values.ts';

/** What a policy does where a rule holds. `custom`: somebody is asked, whom we cannot ask. */
export type PolicyAction = 'allow' | 'deny' | 'audit' | 'custom';

const TOKENS = 'JSON Web Tokens are not checked yet';

const sourceRecord = record(
  {
    principals: optional(list(principalPattern)),
    notPrincipals: optional(list(principalPattern)),
    namespaces: optional(list(namespacePattern)),
    notNamespaces: optional(list(namespacePattern)),
    serviceAccounts: optional(list(serviceAccountPattern)),
    notServiceAccounts: optional(list(serviceAccountPattern)),
    trustDomains: optional(list(trustDomainPattern)),
    notTrustDomains: optional(list(trustDomainPattern)),
    ipBlocks: optional(list(rangePattern)),
    notIpBlocks: optional(list(rangePattern)),
    remoteIpBlocks: optional(list(rangePattern)),
    notRemoteIpBlocks: optional(list(rangePattern)),
  },
  { requestPrincipals: TOKENS, notRequestPrincipals: TOKENS },
);

const operationRecord = record({
  hosts: optional(list(authorityPattern)),
  notHosts: optional(list(authorityPattern)),
  ports: optional(list(portPattern)),
  notPorts: optional(list(portPattern)),
  methods: optional(list(methodPattern)),
  notMethods: optional(list(methodPattern)),
  paths: optional(list(pathPattern)),
  notPaths: optional(list(pathPattern)),
});

const conditionRecord = record({
  key: needed(text),
  values: optional(anyList((cursor) => cursor)),
  notValues: optional(anyList((cursor) => cursor)),
});

type Condition = NonNullable<ReturnType<typeof conditionRecord>>;

const ruleRecord = written(
  record({
    from: optional(list(record({ source: needed(filled(sourceRecord, 'principals')) }))),
    to: optional(list(record({ operation: needed(filled(operationRecord, 'methods')) }))),
    when: optional(list(condition)),
  }),
);

const policyRecord = record(
  {
    selector: optional(record({ matchLabels: optional(labels) })),
    rules: optional(anyList(ruleRecord)),
    action: optional(
      choice<PolicyAction>({ ALLOW: 'allow', DENY: 'deny', AUDIT: 'audit', CUSTOM: 'custom' }),
    ),
    provider: optional(record({ name: optional(text) })),
  },
  { targetRef: 'gateways and waypoints', targetRefs: 'gateways and waypoints' },
);

/** Says nothing, like an empty `spec`: nobody may call. */
export const emptyPolicy = { selector: undefined, rules: undefined, action: undefined };

/** What is read of a policy; where it is unsound only `selector` means anything. */
export type AuthorizationPolicySpec = Pick<
  NonNullable<ReturnType<typeof policyRecord>>,
  'selector' | 'rules' | 'action'
>;

export const authorizationPolicySpec: Reader<AuthorizationPolicySpec> = checked(
  written(policyRecord),
  (spec, cursor) => {
    const { complaints } = cursor.reading;
    if (spec.action === 'custom') {
      const message = 'A CUSTOM policy asks a server of its own, and Tracecar asks none';
      const fix = 'Write what it decides as DENY and ALLOW policies.';
      complaints.add('policy-unsupported', placeOf(spec, cursor, 'action'), message, fix);
    } else if (spec.action === 'deny' && !('rules' in spec.offsets)) {
      const fix = 'Add `rules: [{}]` to deny everything, or remove the policy.';
      complaints.add('match-never-holds', cursor.at, 'Without rules it denies nobody', fix);
    }
  },
);

/** Whom a RequestAuthentication is for; what it asks of them cannot be checked. */
export const requestAuthenticationSpec = openRecord({
  selector: optional(record({ matchLabels: optional(labels) })),
});

export type RequestAuthenticationSpec = Pick<
  NonNullable<ReturnType<typeof requestAuthenticationSpec>>,
  'selector'
>;

/** The rules of a sound policy in the form that is evaluated. */
export function rulesOf({ rules = [] }: AuthorizationPolicySpec): readonly AuthorizationRule[] {
  return rules.map(({ from = [], to = [], when = [] }) => ({
    from: from.map(({ source }) => sourceOf(source)),
    to: to.map(({ operation }) => operationOf(operation)),
    when,
  }));
}

function sourceOf(source: NonNullable<ReturnType<typeof sourceRecord>>): SourceMatch {
  return {
    principals: valuesOf(source.principals, source.notPrincipals),
    namespaces: valuesOf(source.namespaces, source.notNamespaces),
    serviceAccounts: valuesOf(source.serviceAccounts, source.notServiceAccounts),
    trustDomains: valuesOf(source.trustDomains, source.notTrustDomains),
    ipBlocks: valuesOf(source.ipBlocks, source.notIpBlocks),
    remoteIpBlocks: valuesOf(source.remoteIpBlocks, source.notRemoteIpBlocks),
  };
}

function operationOf(operation: NonNullable<ReturnType<typeof operationRecord>>): OperationMatch {
  return {
    hosts: valuesOf(operation.hosts, operation.notHosts),
    ports: valuesOf(operation.ports, operation.notPorts),
    methods: valuesOf(operation.methods, operation.notMethods),
    paths: valuesOf(operation.paths, operation.notPaths),
  };
}

function valuesOf<T>(values: readonly T[] = [], notValues: readonly T[] = []): ValueMatch<T> {
  return { values, notValues };
}

/**
 * A field that is written with nothing behind it is absent to Kubernetes, and an absent one asks for
 * nothing: `from:` with its lines lost would let everybody in.
 */
function written<T extends Located>(read: Reader<T>): Reader<T> {
  return (cursor) => {
    for (const { key, value } of cursor.entries() ?? []) {
      if (!value.isNull) continue;
      const fix = `Write what belongs to \`${key}\`, or remove it.`;
      value.complain('wrong-type', `There is nothing behind \`${key}\``, fix);
    }
    return read(cursor);
  };
}

/** One that asks for nothing would hold for everybody: in Istio too that is a mistake. */
function filled<T extends Located>(read: Reader<T>, example: string): Reader<T> {
  return checked(written(read), ({ offsets }, cursor) => {
    if (Object.keys(offsets).length > 0) return;
    const fix = `Write what is asked for, as \`${example}\`, or leave the item out.`;
    cursor.complain('field-missing', 'Nothing is asked for here', fix);
  });
}

function condition(cursor: Cursor): ConditionMatch | undefined {
  const read = conditionRecord(cursor);
  if (read === undefined) return undefined;
  if ((read.values ?? []).length + (read.notValues ?? []).length === 0) {
    const fix = 'Add `values:` or `notValues:`.';
    return cursor.complain('field-missing', 'The condition has nothing to compare with', fix);
  }
  return conditionOf(read, cursor);
}

function conditionOf(read: Condition, cursor: Cursor): ConditionMatch | undefined {
  const { key } = read;
  const header = /^request\.headers\[([^\]]*)\]$/.exec(key)?.[1];
  if (header !== undefined) {
    const place = placeOf(read, cursor, 'key');
    if (!checkHeaderName(header, place, cursor)) return undefined;
    return { on: 'header', name: header.toLowerCase(), texts: eachOf(read, fieldValuePattern) };
  }
  switch (key) {
    case 'source.principal':
      return { on: 'principal', texts: eachOf(read, principalPattern) };
    case 'source.namespace':
      return { on: 'namespace', texts: eachOf(read, namespacePattern) };
    case 'source.serviceAccount':
      return { on: 'service-account', texts: eachOf(read, serviceAccountPattern) };
    case 'connection.sni':
      return { on: 'server-name', texts: eachOf(read, serverNamePattern) };
    case 'source.ip':
      return { on: 'source-address', ranges: eachOf(read, rangePattern) };
    case 'remote.ip':
      return { on: 'remote-address', ranges: eachOf(read, rangePattern) };
    case 'destination.ip':
      return { on: 'destination-address', ranges: eachOf(read, rangePattern) };
    case 'destination.port':
      return { on: 'destination-port', ports: eachOf(read, portPattern) };
    default:
      return complainOfKey(read, cursor);
  }
}

function eachOf<T>({ values = [], notValues = [] }: Condition, read: Reader<T>): ValueMatch<T> {
  const all = (cursors: readonly Cursor[]) =>
    cursors.map(read).filter((each) => each !== undefined);
  return { values: all(values), notValues: all(notValues) };
}

function complainOfKey(read: Condition, cursor: Cursor): undefined {
  const { complaints } = cursor.reading;
  const place = placeOf(read, cursor, 'key');
  const { key } = read;
  if (/^(?:request\.auth\.|experimental\.)/.test(key)) {
    const why = key.startsWith('request.') ? TOKENS : 'only Envoy has it';
    const message = `\`${key}\` cannot be evaluated: ${why}`;
    complaints.add('policy-unsupported', place, message, 'Remove the condition.');
    return undefined;
  }
  const fix =
    'Write request.headers[NAME], source.ip, remote.ip, source.namespace, source.principal, ' +
    'source.serviceAccount, destination.ip, destination.port or connection.sni.';
  complaints.add('value-unknown', place, `There is no condition \`${key}\``, fix);
  return undefined;
}

function placeOf({ offsets }: Located, cursor: Cursor, field: string) {
  return { ...cursor.at, path: `${cursor.path}.${field}`, offset: offsets[field] ?? cursor.offset };
}
