/**
 * The cluster's keys and certificates: one authority, one certificate for each component, by openssl.
 *
 * P-256 keys, because an RSA key costs a tenth of a second and there are eight. Valid for 30 days.
 */

import { writeFileSync } from 'node:fs';
import { runOrThrow } from './command.ts';
import type { Place } from './place.ts';

/** Subjects, as Kubernetes reads them: O is the group, CN the user. */
const components: Readonly<Record<string, { subject: string; names?: (node: string) => string }>> =
  {
    admin: { subject: '/O=system:masters/CN=admin' },
    node: {
      subject: '/O=system:nodes/CN=system:node:node-1',
      names: (node) => `IP:${node},DNS:node-1`,
    },
    scheduler: { subject: '/CN=system:kube-scheduler' },
    proxy: { subject: '/CN=system:kube-proxy' },
    api: {
      subject: '/CN=kube-apiserver',
      names: (node) =>
        [
          `IP:${node},IP:10.0.0.1,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default`,
          'DNS:kubernetes.default.svc,DNS:localhost',
        ].join(),
    },
  };

/** Writes NAME.key, NAME.crt and NAME.kubeconfig of each component, `ca` and `sa` (service accounts). */
export async function writeCertificates(place: Place, nodeAddress: string): Promise<void> {
  // openssl's own default section would make every certificate an authority.
  writeFileSync(place.path('openssl.cnf'), '[req]\ndistinguished_name=name\n[name]\n');
  const authority = 'basicConstraints=critical,CA:TRUE';
  await Promise.all([
    issue(place, 'ca', '/CN=test-cluster', ['-addext', authority]),
    issue(place, 'sa', '/CN=service-accounts', []),
  ]);
  await Promise.all(
    Object.entries(components).map(async ([name, { subject, names }]) => {
      const signer = ['-CA', place.path('ca.crt'), '-CAkey', place.path('ca.key')];
      const purpose = ['-addext', 'extendedKeyUsage=clientAuth,serverAuth'];
      const alternative =
        names === undefined ? [] : ['-addext', `subjectAltName=${names(nodeAddress)}`];
      await issue(place, name, subject, [...signer, ...purpose, ...alternative]);
      writeKubeconfig(place, name, `${name}.kubeconfig`, `https://${nodeAddress}:6443`);
    }),
  );
}

/** A kubeconfig of a component's user for the API server at `url`; its context is named `test`. */
export function writeKubeconfig(place: Place, user: string, file: string, url: string): string {
  const path = place.path(file);
  writeFileSync(
    path,
    JSON.stringify(
      {
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [
          { name: 'test', cluster: { server: url, 'certificate-authority': place.path('ca.crt') } },
        ],
        users: [
          {
            name: 'me',
            user: {
              'client-certificate': place.path(`${user}.crt`),
              'client-key': place.path(`${user}.key`),
            },
          },
        ],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'me' } }],
        'current-context': 'test',
      },
      null,
      2,
    ),
  );
  return path;
}

async function issue(
  place: Place,
  name: string,
  subject: string,
  more: readonly string[],
): Promise<void> {
  const files = ['-keyout', place.path(`${name}.key`), '-out', place.path(`${name}.crt`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const base = ['openssl', 'req', '-x509', '-config', place.path('openssl.cnf'), '-days', '30'];
  await runOrThrow([...base, ...key, '-subj', subject, ...files, ...more]);
}
