import type { Logger } from 'pino';

import { CredentialsKeeper } from '../basic-auth/credentials-keeper.ts';
import { requireCredentials } from '../basic-auth/require-credentials.ts';
import type { RegistryConfig } from '../config/options.ts';
import type { Callers } from '../mirror/callers.ts';
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
 * node holds, and agents do not share the credentials of clients. At the port for the node each request needs credentials.
 *
 * @param credentials undefined where clients need none
 * @param callers tells the requests of agents from those of clients; the one that the mirror has
 */
export function guardWith(
  credentials: Pick<CredentialsKeeper, 'admit'> | undefined,
  { peers, node }: MirrorStage,
  callers: Pick<Callers, 'isAgent'>,
): MirrorStage {
  if (credentials === undefined) return { peers, node };
  const { admit } = credentials;
  return {
    peers: requireCredentials(peers, { admit, isExempt: (req) => callers.isAgent(req) }),
    node: requireCredentials(node, { admit }),
  };
}
