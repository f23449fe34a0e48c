import type { Logger } from 'pino';

import { CredentialsKeeper } from '../basic-auth/credentials-keeper.ts';
import { requireCredentials } from '../basic-auth/require-credentials.ts';
import type { RegistryConfig } from '../config/options.ts';
import { SIGNATURE_INPUT_HEADER } from '../signatures/message-signature.ts';
import { MIRRORED_HEADER } from '../transfer/client/peer-client.ts';
import type { MirrorStage } from './stages/mirror.ts';

/**
 * Reads the credentials that `--basic-auth-dir` names.
 *
 * @returns undefined without the option
 * @throws BasicAuthError when they cannot be used
 */
export async function loadCredentials(
  config: Pick<RegistryConfig, 'basic-auth-dir'>,
  logger: Logger,
): Promise<CredentialsKeeper | undefined> {
  const folder = config['basic-auth-dir'];
  return folder === '' ? undefined : await CredentialsKeeper.load(folder, { logger });
}

/**
 * Has the mirror ask its clients for credentials. At the port for peers a request of an agent needs none: it gets what this
 * node holds, and agents do not share the credentials of clients. It is known by its signature, which the mirror verifies; in
 * an open cluster a field marks it, as of Spegel's nodes. At the port for the node each request needs credentials.
 *
 * @param credentials undefined where clients need none
 * @param isOpen whether agents without a signature are served
 */
export function guardWith(
  credentials: Pick<CredentialsKeeper, 'admit'> | undefined,
  { peers, node }: MirrorStage,
  isOpen: boolean,
): MirrorStage {
  if (credentials === undefined) return { peers, node };
  const { admit } = credentials;
  return {
    peers: requireCredentials(peers, {
      admit,
      isExempt: ({ headers }) =>
        headers[SIGNATURE_INPUT_HEADER] !== undefined ||
        (isOpen && headers[MIRRORED_HEADER] === 'true'),
    }),
    node: requireCredentials(node, { admit }),
  };
}
