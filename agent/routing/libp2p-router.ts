import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';

import { Backoff } from '../timing/backoff.ts';
import { Settling } from '../timing/settling.ts';
import type { Bootstrapper } from './bootstrap/bootstrapper.ts';
import type { IdentityAnswer } from './bootstrap/http-bootstrapper.ts';
import { createRouterParts } from './create-router-parts.ts';
import type {
  Libp2pRouterInit,
  RouterParts,
  RouterPartsComponents,
} from './create-router-parts.ts';
import { LookupKeys } from './dht/lookup-keys.ts';
import { ProviderRecords } from './dht/provider-records.ts';
import { IdentityRenewal } from './identity-renewal.ts';
import { NegativeCache } from './lookup/negative-cache.ts';
import { isRegistryAddress } from './node/announced-addresses.ts';
import type { RenewedIdentity } from './node/identity.ts';
import { NotThereError } from './node/not-there-error.ts';
import type { CreateNode } from './node/libp2p-node.ts';
import { NotAskedError, type QuestionHandler } from './questions/question-handler.ts';
import type { SwarmProtectorComponents } from './private-network/swarm-protector.ts';
import type { ClosestMember, Provider, Router, RouterStatus } from './router.ts';
import { startStages, stopStages } from './stages.ts';

export interface Libp2pRouterComponents {
  /** From `loadIdentity`. */
  readonly privateKey: PrivateKey;
  readonly bootstrapper: Bootstrapper;
  /**
   * Makes and keeps a new key, for a node that finds another one with its identity soon after its start. Default: the
   * node keeps its identity.
   */
  readonly renewIdentity?: () => Promise<RenewedIdentity>;
  /** See `RouterPartsComponents`. */
  readonly onRefusal?: NonNullable<RouterPartsComponents['onRefusal']>;
  /** See `RouterPartsComponents`. */
  readonly swarm?: SwarmProtectorComponents;
  /** See `RouterPartsComponents`. */
  readonly createNode?: CreateNode;
  /** See `RouterPartsComponents`. */
  readonly questions?: QuestionHandler | readonly QuestionHandler[];
  readonly logger: Logger;
}

/** How long changes of the members are gathered before the listeners are called, in milliseconds. */
const MEMBERS_SETTLING = { quietMs: 50, maxMs: 500 };

/** Who this node is, and the records that belong to that. */
interface Identity {
  readonly privateKey: PrivateKey;
  readonly peerId: string;
  readonly records: ProviderRecords;
}

/** Content routing on a Kademlia DHT that is shared with Spegel's nodes. */
export class Libp2pRouter implements Router {
  readonly #init: Libp2pRouterInit;
  readonly #components: Libp2pRouterComponents;
  readonly #negativeCache = new NegativeCache();
  readonly #lookupKeys: LookupKeys;
  #identity: Identity;
  #parts: RouterParts | undefined;
  /** The advertised keys while the router starts once more. */
  #carried: ReadonlySet<string> = new Set();
  #stopping = new AbortController();
  readonly #renewal: IdentityRenewal;
  readonly #memberListeners = new Set<() => void>();
  readonly #membersSettling = new Settling(MEMBERS_SETTLING, () => {
    for (const listener of this.#memberListeners) listener();
  });

  constructor(components: Libp2pRouterComponents, init: Libp2pRouterInit) {
    this.#components = components;
    this.#init = init;
    this.#lookupKeys = new LookupKeys(components.swarm);
    this.#identity = this.#identityOf(components.privateKey);
    const { renewIdentity, logger } = components;
    this.#renewal = new IdentityRenewal(
      {
        peerId: () => this.peerId,
        renewIdentity,
        replace: (privateKey) => this.#restart(privateKey),
        logger,
      },
      init.youngMs,
    );
  }

  /** The peer ID of this node, in text form. It changes when another node turns out to have the same. */
  get peerId(): string {
    return this.#identity.peerId;
  }

  /** Peer ID and key of this node, which change together. */
  get identity(): { readonly peerId: string; readonly privateKey: PrivateKey } {
    return this.#identity;
  }

  /**
   * Listens and begins to look for peers; resolves without waiting for any.
   *
   * @throws {RouterListenError} when one of the addresses cannot be listened on.
   */
  async start(): Promise<void> {
    if (this.#parts !== undefined) return;
    this.#stopping = new AbortController();
    this.#parts = await this.#startParts();
    this.#renewal.start();
    const { logger } = this.#components;
    logger.info({ peerId: this.peerId, listening: this.listening.map(String) }, 'router started');
  }

  /** Leaves the network: withdraws its records, as far as that is quickly done, and ends its connections. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#renewal.stop();
    const parts = this.#parts;
    if (parts === undefined) return;
    this.#parts = undefined;
    this.#membersSettling.stop();
    await stopStages(parts);
  }

  async advertise(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.#started().reprovider.advertise(keys, signal);
  }

  async withdraw(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.#started().reprovider.withdraw(keys, signal);
  }

  isAdvertised(key: string): boolean {
    return this.#parts?.reprovider.has(key) ?? this.#carried.has(key);
  }

  /** Finds no provider while the router is not started. */
  async *lookup(key: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    if (this.#parts !== undefined) yield* this.#parts.lookup.find(key, signal);
  }

  forget(key: string, peerId: string): void {
    for (const { recordKey } of this.#lookupKeys.of(key)) {
      this.#identity.records.delete(recordKey, peerId);
      this.#negativeCache.add(recordKey, peerId);
    }
  }

  known(key: string): readonly Provider[] {
    return this.#parts?.lookup.known(key) ?? [];
  }

  locate(peerId: string): Provider | undefined {
    return this.#parts?.view.locate(peerId);
  }

  /** See `PeerPlaces.confirm`. A router that is not started finds no peer anywhere. */
  confirm(peerId: string, origin: string): Promise<void> | undefined {
    if (this.#parts !== undefined) return this.#parts.places.confirm(peerId, origin);
    return Promise.reject(new NotThereError('the router is not started', false));
  }

  accepts(origin: string): boolean {
    return this.#parts?.view.accepts(origin) ?? false;
  }

  self(): Pick<ClosestMember, 'peerId' | 'origins'> {
    return { peerId: this.peerId, origins: this.#parts?.view.self()?.origins ?? [] };
  }

  async ask(
    peerId: string,
    message: Uint8Array,
    signal: AbortSignal,
    protocol?: string,
  ): Promise<Uint8Array> {
    const all = this.#parts?.questions;
    const [first] = all?.values() ?? [];
    const questions = protocol === undefined ? first : all?.get(protocol);
    if (questions === undefined) throw new NotAskedError('this router asks no such questions');
    return await questions.ask(peerId, message, signal);
  }

  /** Names no member while the router is not started. */
  async closest(
    key: string,
    count: number,
    signal?: AbortSignal,
  ): Promise<readonly ClosestMember[]> {
    return (await this.#parts?.closest.find(key, count, signal)) ?? [];
  }

  onMembersChange(listener: () => void): () => void {
    this.#memberListeners.add(listener);
    return () => this.#memberListeners.delete(listener);
  }

  status(): RouterStatus {
    const records = this.#identity.records.size;
    if (this.#parts === undefined) {
      return { peers: 0, advertisedKeys: this.#carried.size, records, bootstrapped: false };
    }
    const { membership, reprovider, bootstrap } = this.#parts;
    const { bootstrapped, error } = bootstrap.status;
    const { duplicate } = this.#renewal;
    return {
      peers: membership.members().length,
      advertisedKeys: reprovider.size,
      records,
      bootstrapped,
      ...(error !== undefined && { bootstrapError: error }),
      ...(duplicate !== undefined && { duplicateIdentity: duplicate }),
    };
  }

  /** The peers that the last bootstrap round found: how many, and those not reached, with the reason. */
  bootstrapAddresses(): { readonly named: number; readonly unreached: readonly string[] } {
    const { named, unreached } = this.#parts?.bootstrap.status ?? { named: 0, unreached: [] };
    return { named, unreached };
  }

  /**
   * Peers that this node is connected with, and where their mirrors are.
   *
   * @param max maximum number of peers
   */
  peers(max: number): Provider[] {
    const { membership, view } = this.#parts ?? {};
    const found: Provider[] = [];
    for (const { text } of membership?.members() ?? []) {
      const provider = found.length < max ? view?.locate(text) : undefined;
      if (provider !== undefined) found.push(provider);
    }
    return found;
  }

  /** How many peers this node is connected with, and how many of them speak one of Peerglass' own protocols. */
  countSpeakers(protocol: string): { readonly peers: number; readonly speakers: number } {
    const { membership, protocols } = this.#parts ?? {};
    const connected = (membership?.members() ?? []).filter(
      ({ text }) => membership?.isConnected(text) === true,
    );
    const speakers = connected.filter(
      ({ text }) => protocols?.of(text).includes(protocol) === true,
    );
    return { peers: connected.length, speakers: speakers.length };
  }

  /** The addresses that it listens on at present, wildcards resolved, without the peer ID. */
  get listening(): readonly Multiaddr[] {
    return this.#parts?.node.services.listening.addresses() ?? [];
  }

  /** The answer to `GET /id`, by which other nodes bootstrap; undefined while the router is not started. */
  identityAnswer(): IdentityAnswer | undefined {
    const addresses = this.#parts?.addresses.current();
    if (addresses === undefined) return undefined;
    const dialable = addresses.filter((address) => !isRegistryAddress(address));
    return { ID: this.peerId, Addrs: dialable.map(String) };
  }

  #identityOf(privateKey: PrivateKey): Identity {
    const peerId = peerIdFromPrivateKey(privateKey).toString();
    const { validityMs } = this.#init;
    const records = new ProviderRecords({
      ownPeerId: peerId,
      ...(validityMs !== undefined && { validityMs }),
      onProvided: (recordKey, provider) => {
        this.#negativeCache.delete(recordKey, provider);
        this.#parts?.lookup.noticeRecord(recordKey);
      },
    });
    return { privateKey, peerId, records };
  }

  async #startParts(): Promise<RouterParts> {
    const { privateKey, records } = this.#identity;
    const [negativeCache, lookupKeys] = [this.#negativeCache, this.#lookupKeys];
    const onDuplicate = (address: string): void => {
      this.#renewal.found(address);
    };
    const parts = await createRouterParts(
      { ...this.#components, privateKey, records, negativeCache, lookupKeys, onDuplicate },
      this.#init,
    );
    await startStages(parts);
    parts.membership.onChange(() => {
      if (this.#memberListeners.size > 0) this.#membersSettling.call();
    });
    return parts;
  }

  /**
   * Starts once more, with another identity and the same keys. A key that is withdrawn meanwhile stays advertised, so
   * that the caller, whose call is rejected, withdraws it later.
   */
  async #restart(privateKey: PrivateKey): Promise<void> {
    const parts = this.#started();
    this.#carried = new Set(parts.reprovider.abandon());
    this.#parts = undefined;
    try {
      this.#parts = await this.#startAgain(parts, privateKey);
      await this.#parts.reprovider.advertise([...this.#carried]);
    } finally {
      this.#carried = new Set();
    }
  }

  async #startAgain(parts: RouterParts, privateKey: PrivateKey): Promise<RouterParts> {
    const { logger } = this.#components;
    await stopStages(parts).catch((err: unknown) => {
      logger.error({ err }, 'a part of the router did not stop');
    });
    this.#identity = this.#identityOf(privateKey);
    const { signal } = this.#stopping;
    const backoff = new Backoff();
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.#startParts();
      } catch (err) {
        logger.error({ err }, 'the router does not start again, it will retry');
        await backoff.wait(signal);
      }
    }
  }

  #started(): RouterParts {
    if (this.#parts === undefined) throw new Error('the router is not started');
    return this.#parts;
  }
}
