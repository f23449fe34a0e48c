import { createHash } from 'node:crypto';

import type { Credential } from './docker-config.ts';

/**
 * Tells logins apart without being one: limits of a registry are for a login. All of it counts, because different logins have
 * names such as `_json_key` in common.
 *
 * @returns empty for none
 */
export function loginOf(credential: Credential | undefined): string {
  if (credential === undefined) return '';
  const { username, password, identityToken, registryToken } = credential;
  const parts = [username, password, identityToken, registryToken].map((it) => it?.reveal());
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
