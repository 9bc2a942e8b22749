/**
 * `node relay.ts SOCKET DNS`: runs inside the cluster's network namespace and connects for those outside.
 *
 * A Unix socket is a file, so it can be reached from another network namespace. Each connection to it
 * begins with one line, `HOST PORT`; the bytes after it go to that address and its bytes come back.
 * A name is resolved by the cluster's own DNS (`NAME.NAMESPACE.svc.cluster.local`).
 * `probe HOST PORT` is answered with one byte once that address accepts, and ended otherwise.
 */

import { Resolver } from 'node:dns';
import { once } from 'node:events';
import { connect, createServer, type LookupFunction, type Socket } from 'node:net';

/** Outside: a listener on the host's loopback whose connections end at an address inside. */
export async function listenOutside(
  relaySocket: string,
  address: string,
  port: number,
  /** 0 takes a free one. */
  localPort = 0,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (downstream) => {
    const relay = connect({ path: relaySocket, allowHalfOpen: true });
    relay.write(`${address} ${port}\n`);
    join(downstream, relay);
    for (const socket of [downstream, relay]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
  });
  server.listen(localPort, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address() as { port: number };
  return {
    port: bound.port,
    close: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Joins two sockets; a half-close crosses, an error of one ends the other. */
function join(one: Socket, other: Socket): void {
  one.pipe(other);
  other.pipe(one);
  one.on('error', () => other.destroy());
  other.on('error', () => one.destroy());
  one.on('close', () => other.destroySoon());
  other.on('close', () => one.destroySoon());
}

function serve(path: string, nameServer: string): void {
  const resolver = new Resolver();
  resolver.setServers([nameServer]);
  const lookup: LookupFunction = (name, options, done) => {
    resolver.resolve4(name, (error, addresses) => {
      if (error !== null) done(error, []);
      else if (options.all)
        done(
          null,
          addresses.map((address) => ({ address, family: 4 })),
        );
      else done(null, addresses[0]!, 4);
    });
  };
  const server = createServer({ allowHalfOpen: true }, (outside) => {
    outside.on('error', () => {});
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      const end = head.indexOf('\n');
      if (end < 0) return;
      outside.off('data', onData);
      outside.pause();
      begin(outside, head.slice(0, end), Buffer.from(head.slice(end + 1), 'latin1'), lookup);
    };
    outside.on('data', onData);
  });
  server.listen(path);
}

/** `line` says what is wanted; `rest` are bytes that came with it. */
function begin(outside: Socket, line: string, rest: Buffer, lookup: LookupFunction): void {
  const words = line.split(' ');
  const isProbe = words[0] === 'probe';
  const [host, port] = (isProbe ? words.slice(1) : words) as [string, string];
  const options = { host, port: Number(port), lookup, allowHalfOpen: true, noDelay: true };
  const upstream = connect(options);
  if (isProbe) {
    upstream.on('connect', () => {
      outside.end('.');
      upstream.destroy();
    });
    upstream.on('error', () => outside.destroy());
    return;
  }
  if (rest.length > 0) upstream.write(rest);
  join(outside, upstream);
}

if (import.meta.main) serve(process.argv[2]!, process.argv[3]!);
