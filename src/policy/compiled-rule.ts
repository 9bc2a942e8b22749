/**
 * One rule of an AuthorizationPolicy made ready: whether it holds for a call.
 *
 * What is about requests (hosts, methods, paths, headers) means nothing to a connection that is relayed
 * unread. A rule that lets in then does not hold; for one that keeps out, or marks, it counts as met:
 * in doubt it is kept out (Istio: "missing attributes are treated as matches").
 */

import { printHostAddress } from '../base/ip-address.ts';
import type { RequestView } from '../model/request-view.ts';
import type {
  AuthorizationPolicy,
  AuthorizationRule,
  ConditionMatch,
  OperationMatch,
  SourceMatch,
  TextPattern,
  ValueMatch,
} from '../model/security.ts';
import { type Caller, UNREAD_NAME } from './caller.ts';
import {
  type AddressRanges,
  addressRanges,
  type CompiledMatch,
  compileMatch,
  holds,
  type Ports,
  ports,
  type TextPatterns,
  textPatterns,
} from './pattern-set.ts';

/** What rules ask of a request beside what routes do. */
export interface AuthorizedRequest extends Pick<RequestView, 'method' | 'hostname' | 'path'> {
  /** As sent: the host with its port. */
  readonly authority: string;
  /** The value of the field's line number `index` from 0, by lower-case name; undefined: no such line. */
  fieldLine(name: string, index: number): string | undefined;
}

/** A policy, and what is told of it. */
export interface CompiledPolicy {
  readonly policy: AuthorizationPolicy;
  /** Its place among those with the same effect. */
  readonly rank: number;
  /** What is in doubt makes a rule hold: it does not let anybody in. */
  readonly isWide: boolean;
}

type Texts = CompiledMatch<TextPatterns> | undefined;
type Ranges = CompiledMatch<AddressRanges> | undefined;

interface Source {
  readonly principals: Texts;
  readonly namespaces: Texts;
  readonly serviceAccounts: Texts;
  readonly trustDomains: Texts;
  readonly ipBlocks: Ranges;
  readonly remoteIpBlocks: Ranges;
}

interface Operation {
  readonly hosts: Texts;
  /** Some of `hosts` have a port. */
  readonly asksForPort: boolean;
  readonly ports: CompiledMatch<Ports> | undefined;
  readonly methods: Texts;
  readonly paths: Texts;
  readonly isOfRequests: boolean;
}

interface Condition {
  readonly on: ConditionMatch['on'];
  readonly name: string;
  readonly texts: Texts;
  readonly ranges: Ranges;
  readonly ports: CompiledMatch<Ports> | undefined;
}

export class CompiledRule {
  readonly owner: CompiledPolicy;
  readonly #from: readonly Source[];
  readonly #to: readonly Operation[];
  readonly #when: readonly Condition[];

  constructor({ from, to, when }: AuthorizationRule, owner: CompiledPolicy) {
    this.owner = owner;
    this.#from = from.map(compileSource);
    this.#to = to.map(compileOperation);
    this.#when = when.map(compileCondition);
  }

  /** @param request undefined: a connection that is relayed unread */
  holds(caller: Caller, request: AuthorizedRequest | undefined): boolean {
    return this.#isFrom(caller) && this.#isTo(caller, request) && this.#isMet(caller, request);
  }

  #isFrom(caller: Caller): boolean {
    const from = this.#from;
    if (from.length === 0) return true;
    const { isWide } = this.owner;
    for (let index = 0; index < from.length; index++) {
      const source = from[index]!;
      if (
        holds(source.principals, caller.principal) &&
        holds(source.namespaces, caller.namespace) &&
        holds(source.serviceAccounts, caller.serviceAccount) &&
        holds(source.trustDomains, caller.trustDomain) &&
        holdsAddress(source.ipBlocks, caller.address, isWide) &&
        holdsAddress(source.remoteIpBlocks, caller.remoteAddress, isWide)
      ) {
        return true;
      }
    }
    return false;
  }

  #isTo(caller: Caller, request: AuthorizedRequest | undefined): boolean {
    const to = this.#to;
    if (to.length === 0) return true;
    for (let index = 0; index < to.length; index++) {
      const operation = to[index]!;
      if (!holds(operation.ports, caller.port)) continue;
      if (!operation.isOfRequests) return true;
      if (request === undefined) {
        if (this.owner.isWide) return true;
      } else if (
        holds(operation.methods, request.method) &&
        holds(operation.paths, request.path) &&
        isHost(operation, caller, request, this.owner.isWide)
      ) {
        return true;
      }
    }
    return false;
  }

  #isMet(caller: Caller, request: AuthorizedRequest | undefined): boolean {
    const when = this.#when;
    for (let index = 0; index < when.length; index++) {
      const condition = when[index]!;
      if (condition.on !== 'header') {
        if (!isOfConnection(condition, caller, this.owner.isWide)) return false;
      } else if (request === undefined) {
        if (!this.owner.isWide) return false;
      } else if (!hasField(condition, request, this.owner.isWide)) return false;
    }
    return true;
  }
}

/** Who names no host could mean any; who names no port that of the scheme, or the one that is called. */
function isHost(
  { hosts, asksForPort }: Operation,
  caller: Caller,
  request: AuthorizedRequest,
  isWide: boolean,
): boolean {
  if (hosts === undefined) return true;
  const { hostname: sent, authority } = request;
  if (sent === '') return isWide;
  const hostname = sent.startsWith('[') ? printHostAddress(sent) : sent;
  if (!asksForPort) return holds(hosts, hostname);
  const { values, notValues } = hosts;
  const written = normalAuthority(hostname, authority);
  const port = written === hostname ? caller.port : 0;
  if (values !== undefined && !fitsHost(values, hostname, written, isWide ? port : 0)) return false;
  return notValues === undefined || !fitsHost(notValues, hostname, written, isWide ? 0 : port);
}

/** @param inDoubt the port that was called, where the one that is meant is not known; 0: it is */
function fitsHost(
  patterns: TextPatterns,
  hostname: string,
  written: string,
  inDoubt: number,
): boolean {
  if (patterns.fits(hostname) || patterns.fits(written)) return true;
  return (
    inDoubt !== 0 &&
    (patterns.fits(`${hostname}:80`) ||
      patterns.fits(`${hostname}:443`) ||
      patterns.fits(`${hostname}:${inDoubt}`))
  );
}

/** The host in its normal form, and the port, if there is one, without zeros before it. */
function normalAuthority(hostname: string, authority: string): string {
  const colon = authority.lastIndexOf(':');
  const hasPort = colon >= 0 && !authority.endsWith(']');
  return hasPort ? `${hostname}:${Number(authority.slice(colon + 1))}` : hostname;
}

/** An address that is not known could be any. */
function holdsAddress(ranges: Ranges, address: Uint8Array, isWide: boolean): boolean {
  if (ranges === undefined) return true;
  return address.length === 0 ? isWide : holds(ranges, address);
}

function isOfConnection(
  { on, texts, ranges, ports }: Condition,
  caller: Caller,
  isWide: boolean,
): boolean {
  switch (on) {
    case 'principal':
      return holds(texts, caller.principal);
    case 'namespace':
      return holds(texts, caller.namespace);
    case 'service-account':
      return holds(texts, caller.serviceAccount);
    case 'server-name':
      return caller.serverName === UNREAD_NAME ? isWide : holds(texts, caller.serverName);
    case 'source-address':
      return holdsAddress(ranges, caller.address, isWide);
    case 'remote-address':
      return holdsAddress(ranges, caller.remoteAddress, isWide);
    case 'destination-address':
      return holdsAddress(ranges, caller.destinationAddress, isWide);
    default:
      return holds(ports, caller.port);
  }
}

/**
 * A field with several lines is read by its server as it likes: whoever is let in by it is let in by
 * every line, whoever is kept out by any.
 */
function hasField(
  { name, texts }: Condition,
  request: AuthorizedRequest,
  isWide: boolean,
): boolean {
  const first = request.fieldLine(name, 0);
  if (first === undefined) return holds(texts, '');
  for (let index = 0; ; index++) {
    const line = index === 0 ? first : request.fieldLine(name, index);
    if (line === undefined) return !isWide;
    if (holds(texts, line) === isWide) return isWide;
  }
}

function compileSource(source: SourceMatch): Source {
  return {
    principals: textsOf(source.principals),
    namespaces: textsOf(source.namespaces),
    serviceAccounts: textsOf(source.serviceAccounts),
    trustDomains: textsOf(source.trustDomains),
    ipBlocks: compileMatch(source.ipBlocks, addressRanges),
    remoteIpBlocks: compileMatch(source.remoteIpBlocks, addressRanges),
  };
}

function compileOperation(operation: OperationMatch): Operation {
  const hosts = textsOf(operation.hosts);
  const methods = textsOf(operation.methods);
  const paths = compileMatch(operation.paths, textPatterns);
  const { values, notValues } = operation.hosts;
  return {
    hosts,
    asksForPort: [...values, ...notValues].some(
      (each) => 'value' in each && each.value.includes(':'),
    ),
    ports: compileMatch(operation.ports, ports),
    methods,
    paths,
    isOfRequests: [hosts, methods, paths].some((each) => each !== undefined),
  };
}

function compileCondition(condition: ConditionMatch): Condition {
  return {
    on: condition.on,
    name: condition.on === 'header' ? condition.name : '',
    texts: 'texts' in condition ? textsOf(condition.texts) : undefined,
    ranges: 'ranges' in condition ? compileMatch(condition.ranges, addressRanges) : undefined,
    ports: 'ports' in condition ? compileMatch(condition.ports, ports) : undefined,
  };
}

function textsOf(match: ValueMatch<TextPattern>): Texts {
  return compileMatch(match, textPatterns);
}
