/**
 * The command of the authority: `tracecar ca`, with its actions as operands.
 */

import { caActions, caFlags } from '../main/ca-settings.ts';
import type { Command } from './command-table.ts';

export const caCommand: Command = {
  name: 'ca',
  summary: 'sign identities: the authority of a mesh',
  usage: `[${caActions.join('|')}] --state DIR|--kubernetes [FLAGS]`,
  about: `Signs certificates of a day for sidecars that show a token: mutual TLS between them, and policies
about who may call whom, rest on these. A sidecar makes its key itself and never sends it; whose
identity it gets is decided by its token alone. \`serve\` (also without a word) makes root and issuer
in --state where there are none, writes the roots to DIR/bundle.pem for sidecars to trust, and
follows the folder while it runs. \`token\` prints a token for one service account, once.

\`rotate\` changes the root in three steps, each of which is refused, with names, until every sidecar
is ready for it: both roots are trusted; the new one signs; the old one is out. \`status\` shows the
step, the ends of root and issuer, and each sidecar; \`bundle\` prints the roots (PEM). With
--issuer-cert, --issuer-key and --roots an outside authority's issuer signs, as cert-manager writes
it; it is read again when it changes, and rotation is then that authority's.
docs/identity.md says what is promised and what is not.`,
  flags: caFlags,
  examples: [
    {
      says: 'an authority on this machine',
      line: 'tracecar ca --state ca',
    },
    {
      says: 'a token for the sidecar of shop/web',
      line: 'tracecar ca token --state ca --namespace shop --service-account web > token',
    },
    {
      says: 'the sidecar',
      line: 'tracecar proxy --config mesh --labels app=web --identity 127.0.0.1:15010 --token token --trust-bundle ca/bundle.pem',
    },
    { says: 'who has which roots', line: 'tracecar ca status --state ca' },
  ],
  operands: caActions,
  run: async (args) => (await import('../main/ca.ts')).runCa(args),
};
