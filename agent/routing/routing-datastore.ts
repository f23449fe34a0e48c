import { peerIdFromString } from '@libp2p/peer-id';
import { BaseDatastore, MemoryDatastore } from 'datastore-core';
import { Key } from 'interface-datastore';
import type { Pair, Query } from 'interface-datastore';

import type { ProviderRecords } from './provider-records.ts';

/** Where kad-dht keeps its provider records: `/dht/provider/<multihash in base32>/<peer ID>`. */
const PROVIDER_PREFIX = '/dht/provider/';

/** A SHA2-256 multihash in base32: others are no keys of ours or Spegel's, and may be of any length. */
const RECORD_KEY = /^ciq[a-p][a-z2-7]{51}$/;

/**
 * kad-dht stores the time of a placement in the record and never looks at it when reading. Ours is kept in
 * {@link ProviderRecords}, so every record reads as this: the varint 0.
 */
const NO_TIME = Uint8Array.of(0);

/**
 * The datastore given to libp2p: provider records go to {@link ProviderRecords}, everything else (the peer
 * store) to plain memory. The memory datastore of libp2p alone would scan all its entries at each look-up,
 * and return records however old.
 */
export class RoutingDatastore extends BaseDatastore {
  readonly #records: ProviderRecords;
  readonly #rest = new MemoryDatastore();

  constructor(records: ProviderRecords) {
    super();
    this.#records = records;
  }

  override put(key: Key, value: Uint8Array): Key | Promise<Key> {
    const record = parseRecord(key);
    if (record === undefined) return this.#rest.put(key, value);
    // kad-dht ends the stream then.
    if (!RECORD_KEY.test(record.recordKey)) throw new Error('not the multihash of a key');
    this.#records.add(record.recordKey, record.peerId);
    return key;
  }

  override get(key: Key): Uint8Array | Promise<Uint8Array> {
    const record = parseRecord(key);
    if (record !== undefined && this.#records.has(record.recordKey, record.peerId)) return NO_TIME;
    // For a record that is not there this is the right error too.
    return this.#rest.get(key);
  }

  override has(key: Key): boolean | Promise<boolean> {
    const record = parseRecord(key);
    if (record === undefined) return this.#rest.has(key);
    return this.#records.has(record.recordKey, record.peerId);
  }

  override delete(key: Key): void | Promise<void> {
    const record = parseRecord(key);
    if (record === undefined) return this.#rest.delete(key);
    this.#records.delete(record.recordKey, record.peerId);
  }

  override query(query: Query): Generator<Pair> | AsyncGenerator<Pair> {
    // All provider records together are asked for by kad-dht's reprovider only, which would place our keys
    // one by one. There is none for it to see: the sweep of ours renews them.
    const prefix = query.prefix ?? '';
    if (!`${prefix}/`.startsWith(PROVIDER_PREFIX)) return this.#rest.query(query);
    return this.#queryProviders(prefix.slice(PROVIDER_PREFIX.length));
  }

  *#queryProviders(recordKey: string): Generator<Pair> {
    for (const peerId of this.#records.providers(recordKey)) {
      // kad-dht's answer to GET_PROVIDERS fails as a whole when the peer store does not know one of the
      // providers, which is so for an instant after the first record of a peer that is not identified yet.
      if (!this.#rest.has(peerStoreKey(peerId))) continue;
      yield { key: new Key(`${PROVIDER_PREFIX}${recordKey}/${peerId}`, false), value: NO_TIME };
    }
  }
}

function parseRecord(key: Key): { recordKey: string; peerId: string } | undefined {
  const text = key.toString();
  if (!text.startsWith(PROVIDER_PREFIX)) return undefined;
  const [recordKey, peerId, ...rest] = text.slice(PROVIDER_PREFIX.length).split('/');
  if (recordKey === undefined || peerId === undefined || rest.length > 0) return undefined;
  return { recordKey, peerId };
}

/** Where the peer store keeps what it knows of a peer. */
function peerStoreKey(peerId: string): Key {
  return new Key(`/peers/${peerIdFromString(peerId).toCID().toString()}`, false);
}
