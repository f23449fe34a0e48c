import { createNode, type CreateNode } from '../../agent/routing/node/libp2p-node.ts';

/** How the protocols begin that Spegel's nodes and older ones of ours do not know. */
const NEWER = '/peerglass/';

/**
 * Makes a node as a member of an older version has it: it speaks the protocol of the DHT, and neither withdraws nor
 * announces. It does not name the port of its registry.
 */
export const createOlderNode: CreateNode = async ({ registry: _, ...init }) => {
  const made = await createNode(init);
  const { node } = made;
  const [handle, dialProtocol] = [node.handle.bind(node), node.dialProtocol.bind(node)];
  node.handle = async (protocols, ...more) => {
    if (isKnown([protocols].flat())) await handle(protocols, ...more);
  };
  node.dialProtocol = async (peer, protocols, ...more) => {
    const names = [protocols].flat();
    if (!isKnown(names)) throw new Error(`an older member does not speak ${names.join(', ')}`);
    return await dialProtocol(peer, protocols, ...more);
  };
  return made;
};

function isKnown(protocols: readonly string[]): boolean {
  return !protocols.some((name) => name.startsWith(NEWER));
}
