import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { StaticBootstrapper } from '../../../agent/routing/bootstrap/static-bootstrapper.ts';
import { Libp2pRouter } from '../../../agent/routing/libp2p-router.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { eventually } from '../../../agent/testing/eventually.ts';
import { quiet } from '../../../agent/testing/quiet.ts';
import { agentEnvironment } from '../../harness/agent-process.ts';
import { SignedHeads } from '../../harness/signed-heads.ts';
import { memberOf } from '../../harness/swarm.ts';

/** A request that a {@link Holder} received. */
export interface HolderRequest {
  readonly method: string;
  /** Offset at which the wanted range begins; 0 for the whole. */
  readonly start: number;
  /** The digest or tag that is wanted. */
  readonly reference: string;
}

/** A body that a {@link Holder} sends slowly. */
export interface SlowBody {
  /** Length of the content that it claims to hold. */
  readonly size: number;
  readonly bytesPerSecond: number;
  /** The content. Default: zeros. */
  readonly bytes?: Buffer;
}

/** A member of the network that advertises keys and sends slowly. */
export class Holder implements AsyncDisposable {
  readonly requests: HolderRequest[] = [];
  /** Bytes of bodies that it sent. */
  sent = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #router: Libp2pRouter;
  readonly #heads: SignedHeads;

  private constructor(server: Server, router: Libp2pRouter, heads: SignedHeads) {
    this.#server = server;
    this.#router = router;
    this.#heads = heads;
  }

  /**
   * @param host a loopback address of its own
   * @param peers addresses of routers that it joins
   */
  static async start(host: string, peers: readonly string[], body: SlowBody): Promise<Holder> {
    const server = createServer();
    server.listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const bootstrapper = new StaticBootstrapper([...peers]);
    const member = memberOf(agentEnvironment().SWARM_KEY_FILE);
    const router = new Libp2pRouter(
      {
        privateKey: await loadIdentity(),
        bootstrapper,
        logger: quiet,
        ...member,
      },
      { listen: [`/ip4/${host}/tcp/0`], registryPort: port },
    );
    const holder = new Holder(server, router, new SignedHeads(router, member));
    server.on('connection', (socket) => {
      holder.#serve(socket, body);
    });
    await router.start();
    await eventually(() => {
      if (router.status().peers === 0) throw new Error('it has not joined');
    });
    return holder;
  }

  /** Advertises the keys as if it held them. */
  async advertise(...keys: readonly string[]): Promise<void> {
    await this.#router.advertise(keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await this.#router.stop();
  }

  #serve(socket: Socket, body: SlowBody): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      this.#answer(socket, text, body);
      text = '';
    });
  }

  #answer(socket: Socket, head: string, { size, bytesPerSecond, bytes }: SlowBody): void {
    const [, method = '', reference = ''] = /^(\S+) \S+\/([^/?\s]+)[?\s]/.exec(head) ?? [];
    const first = /^range: bytes=(\d+)-/im.exec(head)?.[1];
    const start = Number(first ?? 0);
    this.requests.push({ method, start, reference });
    const headers = {
      'content-length': size - start,
      ...(first !== undefined && { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
    };
    socket.write(this.#heads.answering(head)(first === undefined ? 200 : 206, headers));
    if (method !== 'GET') return;
    let position = start;
    const send = (): void => {
      if (socket.writableNeedDrain) return;
      const end = Math.min(size, position + Math.ceil(bytesPerSecond / 10));
      const length = end - position;
      socket.write(bytes?.subarray(position, end) ?? Buffer.alloc(length));
      this.sent += length;
      position = end;
      if (position === size) clearInterval(timer);
    };
    const timer = setInterval(send, 100);
    send();
    socket.on('close', () => {
      clearInterval(timer);
    });
  }
}
