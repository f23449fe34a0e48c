/** A segment of TCP as tcpdump has seen it. */
export interface Segment {
  /** When it was seen, in milliseconds on the clock of the machine. */
  readonly at: number;
  readonly from: string;
  /** Addresses and ports. */
  readonly flow: string;
  readonly sequence: number;
  /** Bytes of its payload, of which the capture may have the first ones only. */
  readonly length: number;
  readonly payload: Buffer;
}

/** A body of the content that has arrived: from where, and until when how much of the content was there. */
export interface Arrived {
  readonly from: string;
  /** When the head of the answer came, in milliseconds. */
  readonly headAt: number;
  /** Offset in the content of its first byte. */
  readonly start: number;
  /** Offset in the content behind the last byte that was there without a gap, and since when, both ascending. */
  readonly steps: readonly (readonly [at: number, end: number])[];
}

const GLOBAL_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
/** Of a capture with times in nanoseconds. The machine writes it in its own order: little-endian on those that run this. */
const MAGIC_NANOSECONDS = 0xa1_b2_3c_4d;
const IPV4 = 0x08_00;
const TCP = 6;
const SEQUENCES = 2 ** 32;

/**
 * Reads a file of `tcpdump --time-stamp-precision=nano` on an Ethernet device. Other packets than IPv4 with TCP are left out.
 *
 * @throws Error when it is no such file
 */
export function readSegments(file: Buffer): Segment[] {
  if (file.readUInt32LE(0) !== MAGIC_NANOSECONDS) throw new Error('no capture of tcpdump');
  const segments: Segment[] = [];
  for (let at = GLOBAL_HEADER_BYTES; at + RECORD_HEADER_BYTES <= file.length;) {
    const milliseconds = file.readUInt32LE(at) * 1000 + file.readUInt32LE(at + 4) / 1e6;
    const start = at + RECORD_HEADER_BYTES;
    at = start + file.readUInt32LE(at + 8);
    const segment = readSegment(file.subarray(start, at), milliseconds);
    if (segment !== undefined) segments.push(segment);
  }
  return segments;
}

function readSegment(packet: Buffer, at: number): Segment | undefined {
  if (packet.length < ETHERNET_BYTES + 40 || packet.readUInt16BE(12) !== IPV4) return undefined;
  const ip = packet.subarray(ETHERNET_BYTES);
  if (ip.readUInt8(9) !== TCP) return undefined;
  const ipBytes = (ip.readUInt8(0) & 15) * 4;
  const tcp = ip.subarray(ipBytes);
  const tcpBytes = (tcp.readUInt8(12) >> 4) * 4;
  const from = address(ip, 12);
  return {
    at,
    from,
    flow: `${from}:${tcp.readUInt16BE(0)} ${address(ip, 16)}:${tcp.readUInt16BE(2)}`,
    sequence: tcp.readUInt32BE(4),
    length: ip.readUInt16BE(2) - ipBytes - tcpBytes,
    payload: tcp.subarray(tcpBytes),
  };
}

function address(ip: Buffer, at: number): string {
  return ip.subarray(at, at + 4).join('.');
}

/** The bodies that have content of this size, in the order in which they began. A connection may have several answers. */
export function bodiesOf(segments: readonly Segment[], size: number): Arrived[] {
  const bodies: Arrived[] = [];
  const open = new Map<string, OpenBody>();
  for (const segment of segments) {
    const head = /^HTTP\/1\.1 20[06] .*?\r\n\r\n/s.exec(segment.payload.toString('latin1'))?.[0];
    if (head !== undefined) {
      const start = startOf(head, size);
      open.delete(segment.flow);
      if (start === undefined) continue;
      const body = new OpenBody(segment, head.length, start);
      open.set(segment.flow, body);
      bodies.push(body);
    }
    open.get(segment.flow)?.add(segment);
  }
  return bodies;
}

/** Offset in the content at which the body begins; undefined for an answer with other content. */
function startOf(head: string, size: number): number | undefined {
  const [, start, whole] = /^content-range: *bytes (\d+)-\d+\/(\d+)/im.exec(head) ?? [];
  if (start !== undefined) return Number(whole) === size ? Number(start) : undefined;
  return Number(/^content-length: *(\d+)/im.exec(head)?.[1]) === size ? 0 : undefined;
}

/** A body as its segments come, some of them late or twice. */
class OpenBody implements Arrived {
  readonly from: string;
  readonly headAt: number;
  readonly start: number;
  readonly steps: [number, number][] = [];
  /** Sequence number of the byte at offset 0 of the content. */
  readonly #origin: number;
  #end: number;
  /** Beyond a gap, by their start. */
  readonly #early = new Map<number, number>();

  constructor({ at, from, sequence }: Segment, headBytes: number, start: number) {
    this.headAt = at;
    this.from = from;
    this.start = start;
    this.#origin = sequence + headBytes - start;
    this.#end = start;
  }

  add({ at, sequence, length }: Segment): void {
    const first = modulo(sequence - this.#origin);
    // The segment with the head begins before the body.
    const start = first > SEQUENCES / 2 ? first - SEQUENCES : first;
    if (start > this.#end) {
      this.#early.set(start, Math.max(start + length, this.#early.get(start) ?? 0));
      return;
    }
    if (start + length <= this.#end) return;
    this.#end = start + length;
    this.#takeEarly();
    this.steps.push([at, this.#end]);
  }

  #takeEarly(): void {
    for (const [start, end] of [...this.#early].sort(([one], [other]) => one - other)) {
      if (start > this.#end) return;
      this.#early.delete(start);
      this.#end = Math.max(this.#end, end);
    }
  }
}

function modulo(sequence: number): number {
  return ((sequence % SEQUENCES) + SEQUENCES) % SEQUENCES;
}

/** Since when the byte before this offset was there, by the steps of an {@link Arrived}; undefined: never. */
export function arrivedAt({ steps }: Pick<Arrived, 'steps'>, offset: number): number | undefined {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle]?.[1] ?? 0) >= offset) high = middle;
    else low = middle + 1;
  }
  return steps[low]?.[0];
}
