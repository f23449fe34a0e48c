import { requestHere } from '../native/network-namespace.ts';
import { at, isRecord, textAt } from './json.ts';
import { CheckSkippedError } from './report.ts';

/** The agent's answer at `/readyz`. */
export interface AgentReadiness {
  readonly ready: boolean;
  /** The checks that are not ok, with their reasons. */
  readonly reasons: readonly string[];
}

/** A peer that the agent knows. */
export interface AgentPeer {
  readonly peerId: string;
  /** Base URLs of its mirror. */
  readonly origins: readonly string[];
  /** Its answer when the agent has asked it for the content, in words; absent of an older agent. */
  readonly answer?: string;
}

/** How long one request may take, in milliseconds. */
const TIMEOUT_MS = 2_000;
/** The same for one in which the agent asks other nodes. */
const ASKING_MS = 5_000;

/** Reads the endpoints of the agent on this node. */
export class AgentClient {
  /** Base URL of `--metrics-addr`. */
  readonly origin: string;

  /** @param address of `--metrics-addr`; without a host it is on loopback */
  constructor({ host, port }: { readonly host: string; readonly port: number }) {
    const name = host === '' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
    this.origin = `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
  }

  /**
   * Reads `/readyz`.
   *
   * @throws CheckSkippedError when nothing answers, or another program does
   */
  async readiness(): Promise<AgentReadiness> {
    const { status, json } = await this.#get('/readyz');
    const checks = at(json, 'checks');
    if (!isRecord(checks)) {
      throw new CheckSkippedError(`${this.origin}/readyz answers ${status}, and is not our agent`);
    }
    const reasons = Object.entries(checks)
      .filter(([, check]) => at(check, 'ok') !== true)
      .map(([name, check]) => `${name}: ${textAt(check, 'reason') ?? 'not ok'}`);
    return { ready: status === 200, reasons };
  }

  /**
   * Reads `/debug/status`.
   *
   * @throws CheckSkippedError when the agent does not answer, or does not serve it
   */
  async status(): Promise<unknown> {
    return await this.#debug('/debug/status');
  }

  /** Reads `/debug/peers`: the first hundred peers that the agent is connected with. */
  async peers(): Promise<AgentPeer[]> {
    return peersIn(await this.#debug('/debug/peers'));
  }

  /**
   * Reads `/debug/providers`: the providers of a key by content routing.
   *
   * @param of the content for which the agent asks them, as `manifest:docker.io/library/nginx:1.27`. Default: it asks none
   */
  async providers(key: string, of?: string): Promise<AgentPeer[]> {
    const query = new URLSearchParams({ key, ...(of !== undefined && { of }) });
    return peersIn(await this.#debug(`/debug/providers?${query.toString()}`, ASKING_MS));
  }

  async #debug(path: string, timeoutMs = TIMEOUT_MS): Promise<unknown> {
    const { status, json } = await this.#get(path, timeoutMs);
    if (status === 200) return json;
    const [asked = ''] = path.split('?');
    if (status !== 404) throw new CheckSkippedError(`the agent answers ${status} to ${asked}`);
    const isForOthers = textAt(json, 'error')?.includes('--debug-clients') === true;
    throw new CheckSkippedError(
      isForOthers
        ? `the agent does not serve ${asked} to the address of doctor: run doctor on the host of the agent, or see --debug-clients`
        : `the agent does not serve ${asked}: it runs with --debug-web-enabled=false, or is older`,
    );
  }

  async #get(path: string, timeoutMs = TIMEOUT_MS): Promise<{ status: number; json: unknown }> {
    const url = `${this.origin}${path}`;
    const answer = await requestHere({ url, method: 'GET', timeoutMs });
    if ('error' in answer) {
      throw new CheckSkippedError(`the agent does not answer at ${this.origin} (${answer.error})`);
    }
    try {
      return { status: answer.status, json: JSON.parse(answer.body) as unknown };
    } catch {
      return { status: answer.status, json: undefined };
    }
  }
}

function peersIn(json: unknown): AgentPeer[] {
  const list = at(json, 'peers');
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    const peerId = textAt(entry, 'peerId');
    const origins = at(entry, 'origins');
    if (peerId === undefined || !Array.isArray(origins)) return [];
    const answer = textAt(entry, 'answer');
    const peer = { peerId, origins: origins.filter((it) => typeof it === 'string') };
    return [answer === undefined ? peer : { ...peer, answer }];
  });
}
