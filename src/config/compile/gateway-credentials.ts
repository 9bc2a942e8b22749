/**
 * Gateway credentials: where TLS of a Gateway's server has its certificate from.
 *
 *   serverCertificate, privateKey     files, as they are
 *   credentialName: shop              the Secret `shop` of the workload's namespace, if it is among the
 *                                     resources; else FOLDER/shop/tls.crt, tls.key, and ca.crt for roots
 *
 * As in Istio the roots may stand in a Secret of their own, `shop-cacert`. A table never holds what a Secret
 * does: it holds a name with a digest (`secret:default/shop/tls.key#1f0a...`), and who compiles it gets the
 * texts beside it.
 */

import { createHash, X509Certificate } from 'node:crypto';
import { hostsWithout } from '../../identity/certificate-hosts.ts';
import type { CertificateFiles, ListenerTls } from '../../model/routing-table.ts';
import type { GatewayTls } from '../resource/gateway-tls.ts';
import { resourceName, type SecretResource } from '../resource/resource.ts';
import type { Complaints, Place, Placed } from '../syntax/complaints.ts';
import { listOfNames } from '../syntax/nearest-name.ts';

/** Where Secrets are looked for when nobody says where they are mounted. */
export const usualSecretsFolder = '/etc/tracecar/secrets';

const DIGEST_CHARACTERS = 16;

/** What the workload can be served from. */
interface CredentialSources {
  readonly secrets: readonly SecretResource[];
  /** The workload's. */
  readonly namespace: string;
  readonly secretsFolder: string;
}

export class Credentials {
  /** By the name in the table. */
  readonly texts = new Map<string, string>();
  readonly #sources: CredentialSources;
  readonly #complaints: Complaints;

  constructor(sources: CredentialSources, complaints: Complaints) {
    this.#sources = sources;
    this.#complaints = complaints;
  }

  /**
   * For a server of `hosts`. Undefined when there is no way to the certificate, which was complained of.
   */
  tlsOf(tls: GatewayTls, hosts: readonly string[]): ListenerTls | undefined {
    const { mode } = tls;
    if (mode === undefined || mode === 'passthrough') return undefined;
    const [first, ...others] = this.#pairsOf(tls, hosts) ?? [];
    const caFile = mode === 'simple' ? '' : this.#rootsOf(tls);
    if (first === undefined || caFile === undefined) return undefined;
    return {
      mode,
      certificateFile: first.certificateFile,
      keyFile: first.keyFile,
      ...(others.length === 0 ? {} : { otherPairs: others }),
      caFile,
      ...(tls.subjectAltNames === undefined ? {} : { subjectAltNames: tls.subjectAltNames }),
      minVersion: tls.minProtocolVersion ?? 'TLSv1.2',
      ...(tls.cipherSuites === undefined ? {} : { ciphers: tls.cipherSuites.join(':') }),
    };
  }

  #pairsOf(tls: GatewayTls, hosts: readonly string[]): readonly CertificateFiles[] | undefined {
    const { serverCertificate, privateKey, tlsCertificates, credentialName } = tls;
    if (serverCertificate !== undefined && privateKey !== undefined) {
      return [{ certificateFile: serverCertificate, keyFile: privateKey }];
    }
    if (tlsCertificates !== undefined) {
      return tlsCertificates.map((pair) => ({
        certificateFile: pair.serverCertificate,
        keyFile: pair.privateKey,
      }));
    }
    const names = credentialName === undefined ? tls.credentialNames : [credentialName];
    const pairs = names?.map((name) => this.#pairOf(name, hosts));
    return pairs?.every((pair) => pair !== undefined) === true ? pairs : undefined;
  }

  #pairOf({ value, at }: Placed<string>, hosts: readonly string[]): CertificateFiles | undefined {
    const secret = this.#find(value);
    if (secret === undefined) {
      const path = `${this.#sources.secretsFolder}/${value}`;
      return { certificateFile: `${path}/tls.crt`, keyFile: `${path}/tls.key` };
    }
    const { certificate, key } = secret.spec;
    if (certificate !== '' && key !== '') {
      this.#complainOfHosts(secret, at, hosts);
      return {
        certificateFile: this.#put(secret, 'tls.crt', certificate),
        keyFile: this.#put(secret, 'tls.key', key),
      };
    }
    const missing = certificate === '' ? 'tls.crt' : 'tls.key';
    const message = `Secret ${resourceName(secret)} has no \`${missing}\`: nobody is served`;
    this.#complaints.add('bad-secret', at, message, `Add \`${missing}\` to it.`);
    return undefined;
  }

  /** What is mounted the proxy looks at, when it reads it. */
  #complainOfHosts(secret: SecretResource, at: Place, hosts: readonly string[]): void {
    const certificate = certificateOf(secret);
    const missing = certificate === undefined ? [] : hostsWithout(certificate, hosts);
    if (certificate === undefined || missing.length === 0) return;
    const names = certificate.subjectAltName ?? certificate.subject;
    const message = `The certificate of Secret ${resourceName(secret)} is for ${names}, not for ${listOfNames(missing)}`;
    const fix =
      'Callers of these hosts will refuse it: renew it with their names, or name another.';
    this.#complaints.add('certificate-hosts', at, message, fix);
  }

  #rootsOf(tls: GatewayTls): string | undefined {
    if (tls.caCertificates !== undefined) return tls.caCertificates;
    const own = tls.caCertCredentialName;
    const name = own ?? tls.credentialName ?? tls.credentialNames?.[0];
    if (name === undefined) return undefined;
    const apart = own === undefined ? this.#find(`${name.value}-cacert`) : undefined;
    const secret = apart ?? this.#find(name.value);
    if (secret === undefined) return `${this.#sources.secretsFolder}/${name.value}/ca.crt`;
    const { roots } = secret.spec;
    if (roots !== '') return this.#put(secret, 'ca.crt', roots);
    const message = `Secret ${resourceName(secret)} has no \`ca.crt\`: nobody is served`;
    this.#complaints.add('bad-secret', name.at, message, 'Add the roots of downstreams to it.');
    return undefined;
  }

  #find(name: string): SecretResource | undefined {
    const { secrets, namespace } = this.#sources;
    return secrets.find((each) => each.name === name && each.namespace === namespace);
  }

  /** The digest is of all of the Secret: its parts are renewed together. */
  #put(secret: SecretResource, part: string, text: string): string {
    const { certificate, key, roots } = secret.spec;
    const all = JSON.stringify([certificate, key, roots]);
    const digest = createHash('sha256').update(all).digest('hex').slice(0, DIGEST_CHARACTERS);
    const path = `secret:${resourceName(secret)}/${part}#${digest}`;
    this.texts.set(path, text);
    return path;
  }
}

const known = new WeakMap<SecretResource, X509Certificate>();

/** It was read when the resource was; undefined: it could not be, which was complained of. */
function certificateOf(secret: SecretResource): X509Certificate | undefined {
  const found = known.get(secret);
  if (found !== undefined) return found;
  try {
    const certificate = new X509Certificate(secret.spec.certificate);
    known.set(secret, certificate);
    return certificate;
  } catch {
    return undefined;
  }
}
