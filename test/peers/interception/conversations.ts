/**
 * What real clients say to real daemons: commands whose output is the same with and without sidecars.
 *
 * A script is for sh; its standard output and its status are the transcript. No script has a time or
 * an address of the moment in what it prints.
 */

import { resolve } from 'node:path';
import { ports } from '../../support/real-programs.ts';

export interface Place {
  /** Address of the service. */
  readonly host: string;
  /** The same as a URL has it. */
  readonly urlHost: string;
  readonly certificate: string;
  /** Key of the ssh user. */
  readonly sshKey: string;
}

export interface Conversation {
  readonly name: string;
  readonly port: number;
  readonly script: (place: Place) => string;
  readonly input?: string;
  /** Records of each sidecar: connections, or exchanges where it is HTTP/1; an upgrade is both. */
  readonly records: number;
  /**
   * With TLS: one side goes before it has read the other's last word, and so resets the connection
   * (PostgreSQL always, curl by chance) with or without sidecars.
   */
  readonly mayBeCutAtEnd?: true;
}

const halfClose = resolve(import.meta.dirname, 'half-close.py');
const webSocketClient = resolve(import.meta.dirname, 'websocket-client.cjs');

const postgresSession = `\\set VERBOSITY terse
create temp table numbers (n bigint, t text);
insert into numbers select g, repeat(md5(g::text), 4) from generate_series(1, 20000) g;
select count(*), sum(n), md5(string_agg(t, ',' order by n)) from numbers;
copy (select * from numbers order by n) to stdout;
copy numbers from stdin;
7\tseven
\\.
select * from numbers where t = 'seven';
prepare one (bigint) as select t from numbers where n = $1 limit 1;
execute one(3);
begin; declare walk cursor for select n from numbers order by n; fetch 3 from walk; rollback;
select 1/0;
select 'after the error';
`;

const mariadbSession = `create temporary table numbers (n bigint, t text);
insert into numbers select seq, repeat(md5(seq), 4) from seq_1_to_20000;
select count(*), sum(n), bit_xor(crc32(t)) from numbers;
select * from numbers order by n;
prepare one from 'select t from numbers where n = ?'; set @n = 3; execute one using @n;
select * from no_such_table;
`;

const redisSession = `SET name value
GET name
RPUSH list a b c
BLPOP list 1
LRANGE list 0 -1
DEL list
MULTI
INCR counter
DEL counter
EXEC
EVAL "return string.rep('x', 3000000)" 0
GET missing
NOSUCHCOMMAND
`;

/** A mail with dots at the start of lines, long enough for many packets. */
const mail = `From: a@example.com\r\nTo: b@example.com\r\nSubject: dots\r\n\r\n.\r\n..\r\n${'A line of a mail.\r\n'.repeat(40_000)}.end\r\n`;
const smtpReplies = `2>&1 | grep -E '^[<>] ' | grep -v '^> EHLO'`;

const psql = (sslmode: string) => (place: Place) =>
  `psql -X -At "host=${place.host} port=${ports.postgres} user=app dbname=postgres sslmode=${sslmode}" 2>&1`;
const mariadb =
  (flag: string) =>
  ({ host }: Place) =>
    `mariadb --no-defaults -h ${host} -P ${ports.mariadb} -u app -psecret ${flag} -N shop 2>&1`;
const digest = 'sha256sum';

export const conversations: readonly Conversation[] = [
  {
    name: 'PostgreSQL',
    port: ports.postgres,
    script: psql('disable'),
    input: postgresSession,
    records: 1,
  },
  {
    name: 'PostgreSQL that turns to TLS',
    port: ports.postgres,
    script: psql('require'),
    input: postgresSession,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'MariaDB, which speaks first',
    port: ports.mariadb,
    script: mariadb('--skip-ssl'),
    input: mariadbSession,
    records: 1,
  },
  {
    name: 'MariaDB that turns to TLS',
    port: ports.mariadb,
    script: mariadb('--ssl'),
    input: mariadbSession,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'Redis',
    port: ports.redis,
    script: ({ host }) => `redis-cli -h ${host} -p ${ports.redis}`,
    input: redisSession,
    records: 1,
  },
  {
    name: 'ssh with its exit status',
    port: ports.ssh,
    script: ({ host, sshKey }) =>
      `ssh -T -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i ${sshKey} -p ${ports.ssh} app@${host} 'sha256sum; seq 100000; echo told >&2; exit 7'`,
    input: 'a line of input\n'.repeat(100_000),
    records: 1,
  },
  {
    name: 'SMTP',
    port: ports.smtp,
    script: ({ urlHost }) =>
      `curl -sv smtp://${urlHost}:${ports.smtp}/client --mail-from a@example.com --mail-rcpt b@example.com -T - ${smtpReplies}`,
    input: mail,
    records: 1,
  },
  {
    name: 'SMTP that turns to TLS',
    port: ports.smtp,
    script: ({ urlHost, certificate }) =>
      `curl -sv smtp://${urlHost}:${ports.smtp}/client --ssl-reqd --cacert ${certificate} --mail-from a@example.com --mail-rcpt b@example.com -T - ${smtpReplies}`,
    input: mail,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'HTTP: a redirection followed, HEAD, a range, an error, nothing there',
    port: ports.http,
    script: ({ urlHost }) => {
      const url = `http://${urlHost}:${ports.http}`;
      return `curl -sSi -L ${url}/moved | grep -v ^Date; curl -sSI ${url}/small | grep -v ^Date; curl -sSi -r 2-4 ${url}/small | grep -v ^Date; curl -sSi ${url}/gone | grep -v ^Date; curl -sSi ${url}/nowhere | grep -v ^Date`;
    },
    records: 6,
  },
  {
    name: 'HTTP: eight megabytes',
    port: ports.http,
    script: ({ urlHost }) => `curl -sS http://${urlHost}:${ports.http}/large | ${digest}`,
    records: 1,
  },
  {
    name: 'HTTPS, HTTP/2 by ALPN',
    port: ports.https,
    script: ({ urlHost, certificate }) =>
      `curl -sS --http2 --cacert ${certificate} -w '%{stderr}%{http_version}\n' https://${urlHost}:${ports.https}/large 2>&1 | ${digest}`,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'HTTPS, HTTP/1.1',
    port: ports.https,
    script: ({ urlHost, certificate }) =>
      `curl -sSi --http1.1 --cacert ${certificate} https://${urlHost}:${ports.https}/small | grep -v ^Date`,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'HTTP/2 without TLS',
    port: ports.http2,
    script: ({ urlHost }) => `nghttp http://${urlHost}:${ports.http2}/large | ${digest}`,
    records: 1,
  },
  {
    name: 'two thousand streams of HTTP/2 on four connections',
    port: ports.http2,
    script: ({ urlHost }) =>
      `h2load -n 2000 -c 4 -m 32 http://${urlHost}:${ports.http2}/small | grep -E '^requests:|^status'`,
    records: 4,
  },
  {
    name: 'HTTP/2 in TLS',
    port: ports.http2Tls,
    script: ({ urlHost, certificate }) =>
      `curl -sS --http2 --cacert ${certificate} https://${urlHost}:${ports.http2Tls}/large | ${digest}`,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'openssl s_client and s_server',
    port: ports.tls,
    script: ({ urlHost, certificate }) =>
      `openssl s_client -connect ${urlHost}:${ports.tls} -servername server -CAfile ${certificate} -verify_return_error -quiet`,
    input: `one line\n${'x'.repeat(8_000)}\nCLOSE\n`,
    records: 1,
    mayBeCutAtEnd: true,
  },
  {
    name: 'eight megabytes each way with a half-close between',
    port: ports.halfClose,
    script: ({ host }) => `/usr/bin/python3 ${halfClose} call ${host} ${ports.halfClose}`,
    records: 1,
  },
  {
    name: 'a WebSocket',
    port: ports.webSocket,
    script: ({ urlHost }) =>
      `${process.execPath} ${webSocketClient} ws://${urlHost}:${ports.webSocket}/chat`,
    records: 2,
  },
  {
    name: 'a WebSocket of the undici package',
    port: ports.webSocket,
    script: ({ urlHost }) =>
      `${process.execPath} ${webSocketClient} ws://${urlHost}:${ports.webSocket}/chat undici`,
    records: 2,
  },
  {
    name: 'a WebSocket server that is asked without an upgrade',
    port: ports.webSocket,
    script: ({ urlHost }) => `curl -sSi http://${urlHost}:${ports.webSocket}/chat | grep -v ^Date`,
    records: 1,
  },
];
