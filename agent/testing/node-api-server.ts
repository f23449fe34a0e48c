import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { isDeepStrictEqual } from 'node:util';

/** A request that the server received. */
interface Seen {
  readonly method: string;
  readonly token: string;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The node objects of a Kubernetes API server, over TLS. It serves GET and JSON patches, with the codes and `Status`
 * objects of the real one. A patch is applied in full or not at all.
 */
export class NodeApiServer implements AsyncDisposable {
  /** The verbs that each token allows. */
  readonly rights = new Map<string, readonly string[]>();
  readonly seen: Seen[] = [];
  /** Runs before a patch is applied, to change the node in between. */
  beforePatch: () => void = () => undefined;
  /** Statuses that the next patches are refused with. */
  readonly refusals: number[] = [];
  taints: Json[];
  readonly #name: string;
  readonly #server: Server;

  private constructor(server: Server, name: string, taints: readonly Json[]) {
    this.#server = server;
    this.#name = name;
    this.taints = [...taints];
  }

  static async start(
    tls: { readonly cert: Buffer; readonly key: Buffer },
    name: string,
    taints: readonly Json[],
  ): Promise<NodeApiServer> {
    const server = createServer({ ...tls });
    const api = new NodeApiServer(server, name, taints);
    server.on('request', (req, res) => void api.#answer(req, res));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return api;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const [, token = ''] = /^Bearer (.*)$/.exec(req.headers.authorization ?? '') ?? [];
    const method = req.method ?? '';
    this.seen.push({ method, token });
    const body = await text(req);
    const verb = method.toLowerCase();
    const rights = this.rights.get(token);
    if (rights === undefined) {
      fail(res, 401, 'Unauthorized', 'Unauthorized');
    } else if (!rights.includes(verb)) {
      const user = 'system:serviceaccount:peerglass:peerglass';
      fail(res, 403, 'Forbidden', `nodes "x" is forbidden: User "${user}" cannot ${verb}`);
    } else if (req.url !== `/api/v1/nodes/${this.#name}`) {
      fail(res, 404, 'NotFound', 'nodes "x" not found');
    } else if (method === 'PATCH') {
      this.#patch(req, res, body);
    } else {
      send(res, 200, this.#node());
    }
  }

  #patch(req: IncomingMessage, res: ServerResponse, body: string): void {
    if (req.headers['content-type'] !== 'application/json-patch+json') {
      fail(res, 415, 'UnsupportedMediaType', 'the body of the request was in an unknown format');
      return;
    }
    this.beforePatch();
    const refusal = this.refusals.shift();
    if (refusal !== undefined) {
      fail(res, refusal, 'Conflict', 'the object has been modified');
      return;
    }
    const taints = applied(JSON.parse(body) as Json[], this.taints);
    if (taints === undefined) {
      fail(res, 422, 'Invalid', 'the server rejected our request due to an error in our request');
      return;
    }
    this.taints = taints;
    send(res, 200, this.#node());
  }

  #node(): unknown {
    return {
      kind: 'Node',
      apiVersion: 'v1',
      metadata: { name: this.#name, resourceVersion: '7' },
      spec: this.taints.length === 0 ? {} : { taints: this.taints },
    };
  }
}

/** Applies a patch (RFC 6902: `test` and `remove`). `undefined` when one of its operations fails. */
function applied(operations: readonly Json[], taints: readonly Json[]): Json[] | undefined {
  const list = [...taints];
  for (const { op, path, value } of operations) {
    const [, digits] = /^\/spec\/taints\/(0|[1-9]\d*)$/.exec(String(path)) ?? [];
    const index = Number(digits);
    if (digits === undefined || index >= list.length) return undefined;
    if (op === 'remove') list.splice(index, 1);
    else if (op !== 'test' || !isDeepStrictEqual(list[index], value)) return undefined;
  }
  return list;
}

function fail(res: ServerResponse, code: number, reason: string, message: string): void {
  const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure' };
  send(res, code, { ...status, reason, message, code });
}

function send(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}
