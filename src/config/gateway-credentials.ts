/**
 * Gateway credentials: the files that TLS of a Gateway's server is served from.
 *
 *   serverCertificate, privateKey     as they are
 *   credentialName: shop              FOLDER/shop/tls.crt, tls.key, and ca.crt where downstream shows one
 *
 * A Secret is mounted in the folder that `--secrets` names. As in Istio the roots may stand in a Secret of
 * their own, `shop-cacert`.
 */

import type { CertificateFiles, ListenerTls } from '../model/routing-table.ts';
import type { GatewayTls } from './gateway-tls.ts';

/** Where Secrets are looked for when nobody says where they are mounted. */
export const usualSecretsFolder = '/etc/tracecar/secrets';

/** Undefined when there is no way to the certificate, which was complained of where it is written. */
export function listenerTlsOf(tls: GatewayTls, secretsFolder: string): ListenerTls | undefined {
  const { mode } = tls;
  if (mode === undefined || mode === 'passthrough') return undefined;
  const pairs = pairsOf(tls, secretsFolder);
  const [first, ...others] = pairs ?? [];
  if (first === undefined) return undefined;
  const caFile = mode === 'simple' ? '' : caFileOf(tls, secretsFolder);
  if (caFile === undefined) return undefined;
  return {
    mode,
    certificateFile: first.certificateFile,
    keyFile: first.keyFile,
    ...(others.length === 0 ? {} : { otherPairs: others }),
    caFile,
    minVersion: tls.minProtocolVersion ?? 'TLSv1.2',
    ...(tls.cipherSuites === undefined ? {} : { ciphers: tls.cipherSuites.join(':') }),
  };
}

function pairsOf(tls: GatewayTls, secretsFolder: string): readonly CertificateFiles[] | undefined {
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
  return names?.map(({ value }) => ({
    certificateFile: `${secretsFolder}/${value}/tls.crt`,
    keyFile: `${secretsFolder}/${value}/tls.key`,
  }));
}

function caFileOf(tls: GatewayTls, secretsFolder: string): string | undefined {
  if (tls.caCertificates !== undefined) return tls.caCertificates;
  const name = tls.caCertCredentialName ?? tls.credentialName ?? tls.credentialNames?.[0];
  return name === undefined ? undefined : `${secretsFolder}/${name.value}/ca.crt`;
}
