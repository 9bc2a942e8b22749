/**
 * What it costs to find the rule of a request: one route, and 1 000 hosts of 10 rules each.
 *
 * `node bench/micro/routing.ts`. The request head is parsed once and matched again and again; its host
 * and rule differ from case to case. Goal: with 10 000 routes the first rule of a host costs what it
 * costs with one (issue 5: p99 within 5 %).
 */

import { trafficLimits } from '../../src/model/limits.ts';
import { type Listener, noHeaderEdits, type Rule } from '../../src/model/routing-table.ts';
import { HostIndex, RouteIndex } from '../../src/routing/route-index.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { measureAll } from './measure.ts';

const HOSTS = 1_000;
const RULES = 10;

function ruleOf(host: number, index: number): Rule {
  return {
    identity: `default/host-${host}/http[${index}]`,
    resource: `VirtualService default/host-${host}`,
    route: `default/host-${host}`,
    index,
    origin: 'routes.yaml:1:1',
    matches: [
      {
        path: { kind: 'prefix', value: `/service/${index}/` },
        method: undefined,
        authority: undefined,
        headers: [],
        query: [],
      },
    ],
    backends: [],
    timeoutMs: 15_000,
    requestHeaders: noHeaderEdits,
    responseHeaders: noHeaderEdits,
    broken: undefined,
  };
}

function indexOf(hosts: number, rules: number, wildcards = false): RouteIndex<Rule> {
  const virtualHosts = Array.from({ length: hosts }, (_, host) => ({
    name: `host-${host}`,
    domains: [`${wildcards ? '*.' : ''}host-${host}.example.com`],
    rules: Array.from({ length: rules }, (_, index) => ruleOf(host, index)),
  }));
  const listener: Listener = {
    name: 'outbound|127.0.0.1|80',
    direction: 'outbound',
    address: '127.0.0.1',
    port: 80,
    tls: undefined,
    virtualHosts,
    defaultHost: -1,
  };
  return new RouteIndex(
    listener,
    virtualHosts.map((host) => new HostIndex(host, host.rules)),
  );
}

function headOf(host: string, path: string): MessageHead {
  const head = new MessageHead();
  const text = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench\r\n\r\n`;
  const reader = new HeadReader(head, 'request', trafficLimits);
  if (reader.read(Buffer.from(text, 'latin1'), 0) !== HeadState.Done) throw new Error(text);
  return head;
}

let found = 0;

function matching(
  index: RouteIndex<Rule>,
  heads: readonly MessageHead[],
  isFound = true,
): () => void {
  let next = 0;
  for (const head of heads) {
    if ((index.match(head.view) !== undefined) !== isFound) throw new Error(head.text);
  }
  return () => {
    const head = heads[next]!;
    next = next + 1 === heads.length ? 0 : next + 1;
    if (index.match(head.view) !== undefined) found++;
  };
}

const one = indexOf(1, 1);
const many = indexOf(HOSTS, RULES);
const wild = indexOf(HOSTS, RULES, true);
const hosts = Array.from({ length: 64 }, (_, index) => Math.floor((index * HOSTS) / 64));
const first = hosts.map((host) => headOf(`host-${host}.example.com`, '/service/0/x'));
const last = hosts.map((host) => headOf(`host-${host}.example.com:80`, `/service/${RULES - 1}/x`));
const wide = hosts.map((host) => headOf(`a.b.host-${host}.example.com`, '/service/0/x'));

measureAll('route match', [
  ['1 route', matching(one, [headOf('host-0.example.com', '/service/0/x')])],
  ['10 000 routes, one host, first rule', matching(many, first.slice(0, 1))],
  ['10 000 routes, 64 hosts in turn, first rule', matching(many, first)],
  ['10 000 routes, 64 hosts in turn, last of 10 rules', matching(many, last)],
  ['10 000 routes behind wildcards, first rule', matching(wild, wide)],
  ['10 000 routes, unknown host', matching(many, [headOf('x.example.com', '/')], false)],
]);
if (found === 0) throw new Error('nothing was measured');
