import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf } from '../errors/system-error.ts';
import { ask, type Answer } from './request.ts';
import { isTaintList, type PatchOperation, type Taint } from './taints.ts';

/** The API server, and the account and node of this pod. */
export interface NodeApiInit {
  readonly host: string;
  readonly port: number;
  /** Folder of the service account, with `token` and `ca.crt`. */
  readonly account: string;
  /** Name of the node object. */
  readonly node: string;
}

/** A request to the API server failed. The message contains what to do. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  readonly code = 'ERR_KUBERNETES';
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }

  /** Whether the object was changed after it was read. */
  get isConflict(): boolean {
    // 422: a `test` of the JSON patch failed. 409: the object changes all the time.
    return this.status === 409 || this.status === 422;
  }
}

/**
 * The part of the Kubernetes API that reads and changes the taints of one node. Token and authority are read before every
 * request, because the kubelet renews both while the pod runs.
 */
export class NodeApi {
  readonly #init: NodeApiInit;

  constructor(init: NodeApiInit) {
    this.#init = init;
  }

  /**
   * Reads the taints of the node.
   *
   * @throws KubernetesError
   */
  async taints(signal: AbortSignal): Promise<readonly Taint[]> {
    return this.#taintsOf(await this.#ask('GET', undefined, signal));
  }

  /**
   * Applies a JSON patch to the node, completely or not at all.
   *
   * @returns the taints of the node afterwards
   * @throws KubernetesError; one with `isConflict` when a test of the patch fails
   */
  async patch(
    operations: readonly PatchOperation[],
    signal: AbortSignal,
  ): Promise<readonly Taint[]> {
    return this.#taintsOf(await this.#ask('PATCH', JSON.stringify(operations), signal));
  }

  async #ask(method: string, body: string | undefined, signal: AbortSignal): Promise<unknown> {
    const { host, port, node } = this.#init;
    const [token, ca] = [await this.#read('token'), await this.#read('ca.crt')];
    const headers = {
      Accept: 'application/json',
      Authorization: `Bearer ${token.trim()}`,
      ...(body !== undefined && {
        'Content-Type': 'application/json-patch+json',
        'Content-Length': Buffer.byteLength(body),
      }),
    };
    const path = `/api/v1/nodes/${encodeURIComponent(node)}`;
    let answer: Answer;
    try {
      const sent = body === undefined ? {} : { body };
      answer = await ask({ host, port, path, method, headers, ca, ...sent }, signal);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new KubernetesError(
        0,
        `no answer of the API server at ${host}:${port} (${reason}); is egress to it allowed, and ca.crt its authority?`,
        { cause: error },
      );
    }
    if (answer.status !== 200) throw this.#refusal(method, answer);
    try {
      return JSON.parse(answer.text);
    } catch (error) {
      throw new KubernetesError(0, 'the answer of the API server is not JSON', { cause: error });
    }
  }

  #refusal(method: string, { status, text }: Answer): KubernetesError {
    const { node } = this.#init;
    const verb = method.toLowerCase();
    const advice: Readonly<Record<number, string>> = {
      401: "the API server does not take the service account's token; is it mounted, and of this cluster?",
      403: `the service account may not ${verb} node ${node}; it needs a ClusterRole with get and patch on nodes, and its binding`,
      404: `the cluster has no node ${node}; --node-name (NODE_NAME) must be spec.nodeName of the pod`,
      409: `node ${node} was changed meanwhile; it is read again`,
      422: `the taints of node ${node} were changed meanwhile; they are read again`,
      429: 'the API server is overloaded',
    };
    const message = advice[status] ?? `the API server answered ${status} to ${verb} node ${node}`;
    return new KubernetesError(status, `${message}${quote(text)}`);
  }

  async #read(name: string): Promise<string> {
    const path = join(this.#init.account, name);
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      const code = codeOf(error) ?? 'unknown';
      throw new KubernetesError(
        0,
        `${path} cannot be read (${code}); the pod needs the service account's token there (--service-account)`,
        { cause: error },
      );
    }
  }

  #taintsOf(node: unknown): readonly Taint[] {
    const { spec } = node as { spec?: { taints?: unknown } };
    const taints = spec?.taints ?? [];
    if (isTaintList(taints)) return taints;
    throw new KubernetesError(0, 'the answer of the API server is not a node');
  }
}

/** Longest quotation from a Status, in characters. */
const MAX_QUOTE = 200;

/** The message of the API server, from its Status object. */
function quote(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? ` (${message.slice(0, MAX_QUOTE)})` : '';
  } catch {
    return '';
  }
}
