import type { NamespaceAnswer } from '../../native/network-namespace.ts';
import type { Facts } from '../facts.ts';
import { textAt } from '../json.ts';

/** How a connection ends that an agent closes at once, as it does with clients that are not on its node. */
const CLOSED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

const STRANGER_REMEDY =
  'the agent does not recognise containerd as a client of this node, by its address: find that in the log of the agent, and add it to --node-ip (in the chart peerglass.extraNodeIPs)\ngrep \'"reason":"client"\'';

const CREDENTIALS_REMEDY =
  'write hosts.toml with the credentials of the mirror: restart the agent that has --configure, or the pods of the chart, or\npeerglass configuration --basic-auth-dir FOLDER --mirror-targets URL';

/**
 * What to do when the mirror does not take containerd for a client of its own.
 *
 * @param answers of the mirrors, as containerd sees them
 * @returns undefined when something else is wrong
 */
export async function refusalRemedy(
  facts: Facts,
  answers: readonly NamespaceAnswer[],
): Promise<string | undefined> {
  if (answers.some((answer) => !('error' in answer) && answer.status === 401)) {
    return CREDENTIALS_REMEDY;
  }
  if (!answers.some((answer) => 'error' in answer && CLOSED.has(answer.error))) return undefined;
  const status = await facts.status().catch(() => undefined);
  // Without `--mirror-addr`, or with `--mirror-clients any`, another program has closed it.
  const isForNode = textAt(status, 'settings', 'mirrorClients') === 'node';
  return isForNode ? STRANGER_REMEDY : undefined;
}

/** Says what is wrong with an answer to `GET /v2/` that is not 200. */
export function statusInWords(status: number): string {
  return status === 401
    ? 'answers 401: hosts.toml does not have the credentials that it wants'
    : `answers ${status}, which our mirror does not`;
}
