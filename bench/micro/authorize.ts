/**
 * What it costs to ask 1 000 rules whether a request may go on, by what the rules are about.
 *
 * `node bench/micro/authorize.ts`. Each rule is a policy of its own; the request head is parsed once and
 * judged again and again, its caller and path differ from case to case. Goal: at most 3 us with 1 000 rules
 * (issue 8); those of addresses alone are compared one by one.
 */

import { trafficLimits } from '../../src/model/limits.ts';
import type {
  AddressRange,
  AuthorizationPolicy,
  OperationMatch,
  PathPattern,
  SourceMatch,
  TextPattern,
  ValueMatch,
} from '../../src/model/security.ts';
import { AuthorizationVerdict, Authorizer } from '../../src/policy/authorize.ts';
import { Caller } from '../../src/policy/caller.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { measureAll } from './measure.ts';

const RULES = 1_000;
const CALLERS = 64;

const nothing = { values: [], notValues: [] };
const noSource: SourceMatch = {
  principals: nothing,
  namespaces: nothing,
  serviceAccounts: nothing,
  trustDomains: nothing,
  ipBlocks: nothing,
  remoteIpBlocks: nothing,
};
const noOperation: OperationMatch = {
  hosts: nothing,
  ports: nothing,
  methods: nothing,
  paths: nothing,
};

function only<T>(...values: T[]): ValueMatch<T> {
  return { values, notValues: [] };
}

function exact(value: string): TextPattern {
  return { kind: 'exact', value };
}

function prefix(value: string): PathPattern {
  return { kind: 'prefix', value };
}

type RulePart = (index: number) => {
  readonly source?: Partial<SourceMatch>;
  readonly operation?: Partial<OperationMatch>;
};

const principal = (index: number) => `cluster.local/ns/team-${index % 50}/sa/account-${index}`;
const gets = { methods: only(exact('GET'), exact('HEAD')) };

const shapes: Readonly<Record<string, RulePart>> = {
  'an identity each, and methods': (index) => ({
    source: { principals: only(exact(principal(index))) },
    operation: gets,
  }),
  'a path prefix each, 50 namespaces, methods': (index) => ({
    source: { namespaces: only(exact(`team-${index % 50}`)) },
    operation: { ...gets, paths: only(prefix(`/service-${index}/`)) },
  }),
  'a path each of one identity': (index) => ({
    source: { principals: only(exact(principal(0))) },
    operation: { paths: only<PathPattern>(exact(`/service-${index}/x`)) },
  }),
  '20 namespaces, 50 rules of each': (index) => ({
    source: { namespaces: only(exact(`team-${index % 20}`)) },
    operation: { methods: only(exact(`M${index}`)) },
  }),
  'a range of addresses each': (index) => {
    const range: AddressRange = { bytes: [10, index >> 8, index & 255, 0], prefix: 24 };
    return { source: { ipBlocks: only(range) } };
  },
};

function policiesOf(part: RulePart): AuthorizationPolicy[] {
  return Array.from({ length: RULES }, (_, index) => {
    const { source, operation } = part(index);
    const from = source === undefined ? [] : [{ ...noSource, ...source }];
    const to = operation === undefined ? [] : [{ ...noOperation, ...operation }];
    const rules = [{ from, to, when: [] }];
    const name = `shop/policy-${index}`;
    return { name, origin: 'p.yaml:1:1', isDryRun: false, isUnsupported: false, rules };
  });
}

function headOf(path: string): MessageHead {
  const head = new MessageHead();
  const text = `GET ${path} HTTP/1.1\r\nHost: service\r\nUser-Agent: bench\r\n\r\n`;
  const reader = new HeadReader(head, 'request', trafficLimits);
  if (reader.read(Buffer.from(text, 'latin1'), 0) !== HeadState.Done) throw new Error(text);
  return head;
}

function callerOf(index: number): Caller {
  return new Caller({
    identity: `spiffe://${principal(index)}`,
    address: `10.${index >> 8}.${index & 255}.7`,
    destinationAddress: '10.1.0.1',
    destinationPort: 8080,
    serverName: '',
  });
}

let allowed = 0;

function judging(authorizer: Authorizer): () => void {
  const places = Array.from({ length: CALLERS }, (_, index) =>
    Math.floor((index * RULES) / CALLERS),
  );
  const callers = places.map(callerOf);
  const heads = places.map((place) => headOf(`/service-${place}/x?a=1`));
  const out = new AuthorizationVerdict();
  let next = 0;
  return () => {
    if (authorizer.authorize(callers[next]!, heads[next]!.view, out)) allowed++;
    next = next + 1 === CALLERS ? 0 : next + 1;
  };
}

measureAll(
  '1 000 rules',
  Object.entries(shapes).flatMap(([name, part]) => {
    const policies = policiesOf(part);
    const allow = new Authorizer({ deny: [], allow: policies, audit: [] });
    const deny = new Authorizer({ deny: policies, allow: [], audit: [] });
    return [[`ALLOW: ${name}`, judging(allow)] as const, [`DENY: ${name}`, judging(deny)] as const];
  }),
);
if (allowed === 0) throw new Error('nothing was measured');
