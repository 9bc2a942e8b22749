/**
 * The one file of node-forge that we load: its ASN.1 writer. Its types describe the whole package only.
 */

declare module 'node-forge/lib/asn1.js' {
  const asn1: typeof import('node-forge').asn1;
  export = asn1;
}
