/**
 * Program of a `RogueNode`: `node rogue-main.ts REGISTRY-PORT ROUTER-PORT CONTROL-PORT PEER...`. A node of the DHT that
 * advertises the content of its orders, and whose registry port misbehaves as they say. With `OLDER=true` it is a member
 * of an older version.
 */
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { json } from 'node:stream/consumers';

import { StaticBootstrapper } from '../../agent/routing/bootstrap/static-bootstrapper.ts';
import { loadIdentity } from '../../agent/routing/node/identity.ts';
import { Libp2pRouter } from '../../agent/routing/libp2p-router.ts';
import { quiet } from '../../agent/testing/quiet.ts';
import { responseHead } from '../../agent/testing/rogue-peer.ts';
import { createOlderNode } from './older-node.ts';
import { SignedHeads } from './signed-heads.ts';
import { memberOf } from './swarm.ts';
import { answerAsRogue, type WriteHead } from './rogue-answer.ts';
import type {
  RogueBehaviour,
  RogueContent,
  RogueOrders,
  RogueRequest,
  RogueStatus,
} from './rogue-behaviour.ts';

const HONEST: RogueOrders = { behaviour: { kind: 'honest' } };

const [registryPort, routerPort, controlPort, ...peers] = process.argv.slice(2);

const isOlder = process.env['OLDER'] === 'true';
const member = memberOf();
const router = new Libp2pRouter(
  {
    privateKey: await loadIdentity(),
    bootstrapper: new StaticBootstrapper(peers),
    logger: quiet,
    ...member,
    ...(isOlder && { createNode: createOlderNode }),
  },
  { listen: [`/ip4/0.0.0.0/tcp/${routerPort ?? ''}`], registryPort: Number(registryPort) },
);

const heads = new SignedHeads(router, member);

const contents = new Map<string, RogueContent>();
const requests: RogueRequest[] = [];
/** Digests whose first answer was wrong, as ordered. */
const lied = new Set<string>();
let orders = HONEST;

const ORDERS: Readonly<Record<string, (argument: unknown) => unknown>> = {
  hold: async (argument) => {
    const held = argument as readonly RogueContent[];
    for (const content of held) {
      for (const key of content.keys) contents.set(key, content);
    }
    await router.advertise(held.flatMap(({ keys }) => keys));
  },
  drop: async () => {
    await router.withdraw([...contents.keys()]);
    contents.clear();
    requests.length = 0;
    lied.clear();
    orders = HONEST;
  },
  orders: (argument) => {
    orders = argument as RogueOrders;
  },
  requests: () => requests,
  status: (): RogueStatus => ({ peerId: router.peerId, peers: router.status().peers }),
};

createServer((socket) => {
  socket.on('error', () => undefined);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = text.slice(0, end);
    text = text.slice(end + 4);
    answer(socket, head).catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      socket.destroy();
    });
  });
}).listen(Number(registryPort));

createHttpServer((req, res) => {
  control(req).then(
    (result) => res.end(JSON.stringify(result)),
    (error: unknown) => res.writeHead(500).end(String(error)),
  );
}).listen(Number(controlPort));

await router.start();

async function answer(socket: Socket, head: string): Promise<void> {
  const [, method = '', path = ''] = /^(\S+) (\S+) /.exec(head) ?? [];
  const range = /^range: *(.*)$/im.exec(head)?.[1]?.trim() ?? '';
  const makeHead = isOlder ? responseHead : heads.answering(head);
  const writeHead: WriteHead = (status, fields) => {
    socket.write(makeHead(status, fields));
  };
  const content = find(path);
  if (content === undefined) {
    writeHead(404, { 'content-length': 0 });
    return;
  }
  const behaviour = behaviourFor(content, method);
  const from = socket.remoteAddress?.replace('::ffff:', '') ?? '';
  requests.push({ from, method, path, range, behaviour: behaviour.kind });
  const zone = orders.zones?.[from];
  await answerAsRogue({ socket, writeHead }, content, { method, range, zone }, behaviour);
}

/** By `/v2/REPOSITORY/manifests|blobs/DIGEST-OR-TAG?ns=REGISTRY`. */
function find(path: string): RogueContent | undefined {
  const { pathname, searchParams } = new URL(path, 'http://rogue');
  const [, repository = '', what = ''] =
    /^\/v2\/(.+)\/(?:manifests|blobs)\/([^/]+)$/.exec(pathname) ?? [];
  return (
    contents.get(what) ?? contents.get(`${searchParams.get('ns') ?? ''}/${repository}:${what}`)
  );
}

function behaviourFor({ digest }: RogueContent, method: string): RogueBehaviour {
  const meant = orders.digests?.includes(digest) ?? true;
  const rogue = meant && (method === 'GET' || orders.head === true);
  if (!rogue) return { kind: 'honest' };
  const { behaviour } = orders;
  if (behaviour.kind !== 'wrong-once') return behaviour;
  if (lied.has(digest)) return behaviour.then;
  lied.add(digest);
  return behaviour;
}

async function control(req: IncomingMessage): Promise<unknown> {
  const order = ORDERS[(req.url ?? '').slice(1)];
  if (order === undefined) throw new Error(`no such order: ${req.url ?? ''}`);
  return (await order(await json(req))) ?? {};
}
