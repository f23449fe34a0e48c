/** What a program or library needs at run time (System V ABI, "Program Loading and Dynamic Linking"). */
export interface ElfNeeds {
  /** Path of the loader. Libraries have none. */
  readonly interpreter: string | undefined;
  /** Names of the needed libraries, `libc.so.6`, in their order. */
  readonly libraries: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

const SEGMENT_SIZE = 56;
const DYNAMIC_ENTRY_SIZE = 16;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/**
 * Reads the loader and libraries that a file needs. Unlike `ldd` it also reads files of other architectures.
 *
 * @throws Error when it is not a 64-bit little-endian ELF file
 */
export function elfNeeds(file: Buffer): ElfNeeds {
  const isElf64 = file.toString('latin1', 0, 4) === '\x7fELF' && file[4] === 2 && file[5] === 1;
  if (!isElf64) throw new Error('not a 64-bit little-endian ELF file');
  const segments = readSegments(file);
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  return {
    interpreter: interpreter && readString(file, interpreter.offset),
    libraries: readLibraries(file, segments),
  };
}

function readSegments(file: Buffer): Segment[] {
  const table = number(file, 32);
  const count = file.readUInt16LE(56);
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * SEGMENT_SIZE;
    return {
      type: file.readUInt32LE(at),
      offset: number(file, at + 8),
      address: number(file, at + 16),
      size: number(file, at + 32),
    };
  });
}

function readLibraries(file: Buffer, segments: readonly Segment[]): string[] {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return [];
  const names: number[] = [];
  let strings = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += DYNAMIC_ENTRY_SIZE) {
    const tag = number(file, at);
    if (tag === DT_NULL) break;
    if (tag === DT_NEEDED) names.push(number(file, at + 8));
    if (tag === DT_STRTAB) strings = offsetOf(segments, number(file, at + 8));
  }
  return names.map((name) => readString(file, strings + name));
}

/** Offset in the file of an address in memory. */
function offsetOf(segments: readonly Segment[], address: number): number {
  const segment = segments.find(
    (it) => it.type === PT_LOAD && address >= it.address && address < it.address + it.size,
  );
  if (segment === undefined) throw new Error('the string table is not in the file');
  return address - segment.address + segment.offset;
}

function number(file: Buffer, at: number): number {
  return Number(file.readBigInt64LE(at));
}

function readString(file: Buffer, at: number): string {
  return file.toString('latin1', at, file.indexOf(0, at));
}
