import type { HolderQuestion } from '../admin/admin-handler.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { parseDigest } from '../oci/digest.ts';
import type { Provider } from '../routing/router.ts';
import type { PeerClient } from '../transfer/client/peer-client.ts';
import { toPeerError, type PeerFailure } from '../transfer/client/peer-error.ts';
import { askPeer } from '../transfer/select/ask-peer.ts';

/** The failures that say something about the content, or about who answers. */
const WORDS: Partial<Record<PeerFailure, string>> = {
  'not-found': 'does not have it',
  busy: 'busy, or its containerd does not answer',
  identity: 'does not prove that it is this peer',
};

/**
 * Asks a holder whether it has content, as this agent does for a pull, and describes the answer for people. Only an agent
 * can: it signs the request. Never rejects.
 *
 * @param signal ends the question
 */
export async function holderAnswer(
  client: Pick<PeerClient, 'fetch'>,
  holder: Provider,
  question: HolderQuestion,
  signal: AbortSignal,
): Promise<string> {
  try {
    const { body } = await askPeer(client, holder, requestOf(question), undefined, signal);
    body.destroy();
    return 'has it';
  } catch (error) {
    const { reason, message } = toPeerError(error, 'connect');
    return WORDS[reason] ?? `cannot be asked (${reason}: ${message})`;
  }
}

function requestOf({ kind, registry, repository, reference }: HolderQuestion): ContentRequest {
  const digest = parseDigest(reference);
  const what = digest === undefined ? { tag: reference } : { digest };
  return { kind, method: 'HEAD', registry, repository, ...what };
}
