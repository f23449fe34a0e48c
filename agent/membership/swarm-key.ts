import { createHash, randomBytes, scryptSync } from 'node:crypto';

/** First lines of a swarm key file, in the notation of multicodec; go-libp2p has the same. */
const HEADER = '/key/swarm/psk/1.0.0/';
const ENCODING = '/base16/';
/** Bytes of a key. */
const KEY_BYTES = 32;
const KEY_TEXT = /^[0-9a-f]{64}$/i;
/** Least characters of a passphrase. */
export const MIN_PASSPHRASE = 32;
/** Most characters of a passphrase: longer ones are another file. */
const MAX_PASSPHRASE = 1024;
/** Most keys of one file: the present one, and those before and after it. */
export const MAX_KEYS = 4;
/**
 * To try a passphrase takes so much work: 16 MiB and some 50 ms. The salt is the same for all clusters, because each node
 * derives the key by itself.
 */
const SCRYPT = { salt: 'peerglass swarm key 1', N: 2 ** 14, r: 8, p: 1 } as const;

/** A key that the nodes of a cluster share. Who does not have it cannot connect with them. */
export interface SwarmKey {
  /** 32 bytes. */
  readonly bytes: Uint8Array;
  /** Names the key in logs: eight hexadecimal digits that say nothing about it. */
  readonly fingerprint: string;
}

/** The keys of a cluster, which may change while a node runs. */
export interface SwarmKeys {
  /** At least one. Nodes are dialled with the first, and accepted with each. */
  readonly keys: readonly SwarmKey[];
  /**
   * Calls back when {@link keys} have become others. Absent where they never do.
   *
   * @returns ends the calls
   */
  onChange?(listener: () => void): () => void;
}

/** The text holds no usable key; the message continues the name of the file, and does not quote the text. */
export class SwarmKeyFormatError extends Error {
  override readonly name = 'SwarmKeyFormatError';
}

/**
 * Reads the keys of a text, in order: each is a swarm key in the form of libp2p's private networks
 * (`/key/swarm/psk/1.0.0/`, `/base16/` and 64 hexadecimal digits, a line each), or a passphrase on a line of its own.
 *
 * @throws SwarmKeyFormatError
 */
export function parseSwarmKeys(text: string): readonly SwarmKey[] {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const keys: SwarmKey[] = [];
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    if (keys.length === MAX_KEYS) throw new SwarmKeyFormatError(`has more than ${MAX_KEYS} keys`);
    if (line === HEADER) keys.push(swarmKey(decode(lines.shift(), lines.shift())));
    else keys.push(swarmKey(fromPassphrase(line)));
  }
  if (keys.length === 0) throw new SwarmKeyFormatError('is empty');
  const fingerprints = new Set(keys.map(({ fingerprint }) => fingerprint));
  if (fingerprints.size < keys.length) throw new SwarmKeyFormatError('has the same key twice');
  return keys;
}

/** The key in the form that go-libp2p and k3s read too, with a line feed at its end. */
export function formatSwarmKey({ bytes }: SwarmKey): string {
  return `${HEADER}\n${ENCODING}\n${Buffer.from(bytes).toString('hex')}\n`;
}

/** A new random key. */
export function newSwarmKey(): SwarmKey {
  return swarmKey(randomBytes(KEY_BYTES));
}

function swarmKey(bytes: Uint8Array): SwarmKey {
  const digest = createHash('sha256').update('peerglass fingerprint').update(bytes).digest('hex');
  return { bytes, fingerprint: digest.slice(0, 8) };
}

function decode(encoding: string | undefined, digits: string | undefined): Uint8Array {
  if (encoding !== ENCODING) {
    throw new SwarmKeyFormatError(`has a key that is not encoded as ${ENCODING}`);
  }
  if (digits === undefined || !KEY_TEXT.test(digits)) {
    throw new SwarmKeyFormatError(`has a key that is not 64 hexadecimal digits`);
  }
  return Buffer.from(digits, 'hex');
}

function fromPassphrase(text: string): Uint8Array {
  if (text.startsWith('/')) {
    throw new SwarmKeyFormatError(`has a line that begins with "/" and is not ${HEADER}`);
  }
  const { length } = text;
  if (length < MIN_PASSPHRASE) {
    throw new SwarmKeyFormatError(
      `has a passphrase of ${length} characters; at least ${MIN_PASSPHRASE} are needed`,
    );
  }
  if (length > MAX_PASSPHRASE) {
    throw new SwarmKeyFormatError(`has a line of more than ${MAX_PASSPHRASE} characters`);
  }
  const { salt, ...cost } = SCRYPT;
  return scryptSync(text, salt, KEY_BYTES, cost);
}
