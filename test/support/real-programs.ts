/**
 * Daemons of Debian packages in a pod, as the application's user, with their data in one temporary
 * folder: nothing of the machine's own configuration is read and nothing is left behind.
 *
 * Each listens on every address of both families; a call returns when it does.
 */

import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findPeer, installCommand } from '../../tools/peers.ts';
import { type Pod, users } from './namespace-pods.ts';

const postgres = '/usr/lib/postgresql/15/bin';
const smtpServer = resolve(import.meta.dirname, '../peers/interception/smtp-server.py');
const halfClose = resolve(import.meta.dirname, '../peers/interception/half-close.py');
const webSocketServer = resolve(import.meta.dirname, '../peers/interception/websocket-server.cjs');

export const ports = Object.freeze({
  ssh: 2222,
  smtp: 2525,
  mariadb: 3306,
  tls: 4433,
  postgres: 5432,
  redis: 6379,
  halfClose: 7000,
  http: 8080,
  http2: 8081,
  webSocket: 8082,
  https: 8443,
  http2Tls: 8444,
});

/** A folder of the application's user with the certificate of the daemons. */
export class Daemons {
  readonly folder = mkdtempSync(join(tmpdir(), 'tracecar-daemons-'));
  readonly certificate = join(this.folder, 'certificate.pem');
  readonly key = join(this.folder, 'key.pem');
  readonly #pod: Pod;

  /** `addresses`: what the certificate is for. */
  constructor(pod: Pod, addresses: readonly string[]) {
    this.#pod = pod;
    chownSync(this.folder, 1000, 1000);
    chmodSync(this.folder, 0o755);
    const names = ['DNS:server', ...addresses.map((each) => `IP:${each}`)].join(',');
    this.#make('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-days', '2', '-subj', '/CN=server', '-addext', `subjectAltName=${names}`],
      ...['-keyout', this.key, '-out', this.certificate],
    ]);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  file(name: string, content: string | Buffer): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    chownSync(path, 1000, 1000);
    chmodSync(path, 0o600);
    return path;
  }

  async postgres(): Promise<void> {
    const data = join(this.folder, 'postgres');
    const initial = ['--auth=trust', '--no-sync', '--username=app', '--encoding=UTF8'];
    this.#make(`${postgres}/initdb`, ['-D', data, ...initial, '--locale=C']);
    this.file('postgres/pg_hba.conf', 'host all all all trust\n');
    const settings = {
      ssl: 'on',
      ssl_cert_file: this.certificate,
      ssl_key_file: this.key,
      fsync: 'off',
      unix_socket_directories: this.folder,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const place = ['-D', data, '-h', '*', '-p', `${ports.postgres}`];
    await this.#start([`${postgres}/postgres`, ...place, ...flags], /ready to accept connections/);
  }

  async mariadb(): Promise<void> {
    const data = join(this.folder, 'mariadb');
    mkdirSync(data);
    chownSync(data, 1000, 1000);
    const plain = '--auth-root-authentication-method=normal';
    this.#make('mariadb-install-db', ['--no-defaults', `--datadir=${data}`, plain]);
    const first = this.file(
      'first.sql',
      "CREATE USER app@'%' IDENTIFIED BY 'secret';\nGRANT ALL ON *.* TO app@'%';\nCREATE DATABASE shop;\n",
    );
    await this.#start(
      [
        ...['mariadbd', '--no-defaults', `--datadir=${data}`, `--init-file=${first}`],
        ...[`--socket=${this.folder}/mariadb.sock`, `--port=${ports.mariadb}`],
        ...['--bind-address=*', '--skip-name-resolve', '--innodb-flush-log-at-trx-commit=0'],
        ...[`--ssl-cert=${this.certificate}`, `--ssl-key=${this.key}`],
      ],
      /ready for connections/,
    );
  }

  async redis(): Promise<void> {
    const open = ['--bind', '*', '-::*', '--protected-mode', 'no', '--save', ''];
    const place = ['--port', `${ports.redis}`, '--dir', this.folder];
    await this.#start(['redis-server', ...place, ...open], /Ready to accept connections/);
  }

  /** Gives the path of the key that may come in. */
  async ssh(): Promise<string> {
    const keys = ['host', 'user'].map((name) => join(this.folder, `ssh-${name}`));
    for (const key of keys) this.#make('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const [host, user] = keys as [string, string];
    const config = [
      `Port ${ports.ssh}`,
      `HostKey ${host}`,
      `AuthorizedKeysFile ${user}.pub`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'Subsystem sftp internal-sftp',
    ];
    const path = this.file('sshd_config', `${config.join('\n')}\n`);
    await this.#start(['/usr/sbin/sshd', '-D', '-e', '-f', path], /listening on :: port/i);
    return user;
  }

  async smtp(): Promise<void> {
    const args = [`${ports.smtp}`, this.certificate, this.key];
    await this.#start(['/usr/bin/python3', smtpServer, ...args], /^open/);
  }

  async halfClose(): Promise<void> {
    await this.#start(['/usr/bin/python3', halfClose, 'serve', `${ports.halfClose}`], /^open/);
  }

  /** `locations`: more of them, in nginx's words. */
  async nginx(locations = ''): Promise<void> {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${this.folder}/nginx-${name};`,
    );
    const path = this.file(
      'nginx.conf',
      `daemon off; worker_processes 1; pid ${this.folder}/nginx.pid; error_log stderr notice;
events { worker_connections 256; }
http {
  access_log off; server_tokens off; default_type application/octet-stream; ${temporary.join(' ')}
  server {
    listen 0.0.0.0:${ports.http}; listen [::]:${ports.http};
    listen 0.0.0.0:${ports.https} ssl http2; listen [::]:${ports.https} ssl http2;
    ssl_certificate ${this.certificate}; ssl_certificate_key ${this.key};
    root ${this.#documents()};
    location /moved { return 302 /small; }
    location /gone { return 410; }
    ${locations}
  }
}
`,
    );
    await this.#start(['nginx', '-e', 'stderr', '-c', path], /start worker process /);
  }

  /** Speaks HTTP/2 alone, in clear and in TLS. */
  async nghttpd(): Promise<void> {
    const documents = ['-d', this.#documents()];
    const clear = ['nghttpd', '--no-tls', ...documents, `${ports.http2}`];
    const tls = ['nghttpd', ...documents, `${ports.http2Tls}`, this.key, this.certificate];
    for (const command of [clear, tls]) this.#pod.start(users.app, command, this.#environment);
    // It says nothing when it is open.
    const dial = 'until (exec 3<>"/dev/tcp/127.0.0.1/$0") 2>&-; do :; done';
    for (const port of [ports.http2, ports.http2Tls]) {
      const { status } = await this.#pod.finish(users.app, ['bash', '-c', dial, `${port}`]);
      assert.equal(status, 0, 'nghttpd listens');
    }
  }

  /** Answers each line with the line turned round. */
  async openssl(): Promise<void> {
    const pair = ['-cert', this.certificate, '-key', this.key];
    const command = ['openssl', 's_server', '-accept', `*:${ports.tls}`, '-rev', ...pair];
    await this.#start(command, /^ACCEPT/);
  }

  async webSocket(): Promise<void> {
    await this.#start([process.execPath, webSocketServer, `${ports.webSocket}`], /^open/);
  }

  /** `small` and `large`, 8 MiB that are no text. */
  #documents(): string {
    const folder = join(this.folder, 'documents');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'small'), 'a few bytes\n');
    const large = Buffer.alloc(8 << 20);
    for (let at = 0; at < large.length; at += 4)
      large.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
    writeFileSync(join(folder, 'large'), large);
    return folder;
  }

  #make(program: string, args: readonly string[]): void {
    const made = this.#pod.run(users.app, [program, ...args], { env: this.#environment });
    assert.equal(made.status, 0, `${program}: ${made.output}${made.errors}`);
  }

  async #start(command: readonly string[], isOpen: RegExp): Promise<void> {
    await this.#pod.start(users.app, command, this.#environment).says(isOpen);
  }

  /** Debian keeps daemons where an application's PATH does not lead. */
  get #environment() {
    return { HOME: this.folder, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  }
}

const needed = [
  'postgres',
  'mariadb',
  'redis',
  'sshd',
  'ssh',
  'smtpd',
  'nginx',
  'curl',
  'nghttp',
  'nghttpd',
  'h2load',
  'openssl',
];

/** What to install before daemons can be started; undefined when all of them are there. */
export function whyNoDaemons(): string | undefined {
  const missing = needed.filter((name) => findPeer(name) === undefined);
  if (missing.length === 0) return undefined;
  return `${missing.join(', ')} missing; as root: ${installCommand(['interception'])}`;
}
