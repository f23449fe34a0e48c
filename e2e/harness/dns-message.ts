import { isIPv4 } from 'node:net';

/** Addresses by name, IPv4 and IPv6 together. Names are in lower case, without a dot at the end. */
export type Zone = Readonly<Record<string, readonly string[]>>;

const HEADER_BYTES = 12;
const TYPE = { A: 1, AAAA: 28 } as const;
const CLASS_IN = 1;
const TTL_SECONDS = 5;
/** A pointer to the name in the question (RFC 1035, 4.1.4). */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;

/** Response, authoritative, recursion available (RFC 1035, 4.1.1). */
const FLAGS = 0x8480;
const RECURSION_DESIRED = 0x0100;
const NAME_ERROR = 3;

/**
 * The answer of an authoritative name server (RFC 1035, 4.1): every address that the zone has for the name and type of
 * the query. Fifteen addresses fit into the 512 bytes that every resolver accepts over UDP.
 *
 * @throws RangeError when the query is truncated
 */
export function answerQuery(query: Buffer, zone: Zone): Buffer {
  const { name, type, end } = readQuestion(query);
  const addresses = zone[name];
  const records = (addresses ?? [])
    .filter((address) => type === (isIPv4(address) ? TYPE.A : TYPE.AAAA))
    .map((address) => resourceRecord(type, addressBytes(address)));
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  const code = addresses === undefined ? NAME_ERROR : 0;
  header.writeUInt16BE(FLAGS | (query.readUInt16BE(2) & RECURSION_DESIRED) | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...records]);
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function resourceRecord(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(QUESTION_NAME, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(TTL_SECONDS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [left = [], right = []] = address
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...left, ...zeros, ...right].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * index);
  }
  return bytes;
}
