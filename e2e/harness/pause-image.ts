import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { toArchive } from '../../scripts/oci-image/archive.ts';
import {
  addToIndex,
  IMAGE_NAME,
  initLayout,
  putBlob,
  putJson,
} from '../../scripts/oci-image/oci-layout.ts';
import { hostPlatform } from '../images/image.ts';
import { PAUSE_IMAGE } from './containerd-config.ts';

const MACHINE: Partial<
  Record<
    NodeJS.Architecture,
    { readonly id: number; readonly pause: string; readonly exit: string }
  >
> = {
  x64: {
    id: 62,
    // mov eax, SYS_pause; syscall; jmp to the start
    pause: 'b822000000 0f05 ebf7',
    // xor edi, edi; mov eax, SYS_exit; syscall
    exit: '31ff b83c000000 0f05',
  },
  arm64: {
    id: 183,
    // x0 to x3 = 0; x8 = SYS_ppoll; svc 0; b to the start
    pause: '000080d2 010080d2 020080d2 030080d2 280980d2 010000d4 faffff17',
    // x0 = 0; x8 = SYS_exit; svc 0
    exit: '000080d2 a80b80d2 010000d4',
  },
};

const HEADERS = 64 + 56;
const ADDRESS = 0x400000n;

/**
 * An image with one program that does nothing for ever, packed for `ctr image import`. It is what Kubernetes' own
 * does, which no package has, but for the reaping of orphans.
 *
 * @param folder receives it
 */
export function makePauseImage(folder: string): Promise<string> {
  return makeImage(folder, PAUSE_IMAGE, 'pause');
}

/** An image of this name with one program that ends at once, and well. */
export function makeExitImage(folder: string, name: string): Promise<string> {
  return makeImage(folder, name, 'exit');
}

async function makeImage(folder: string, name: string, does: 'pause' | 'exit'): Promise<string> {
  const layout = join(folder, does);
  await initLayout(layout);
  const tar = pack();
  tar.entry({ name: 'program', mode: 0o755 }, program(does));
  tar.finalize();
  const bytes = await buffer(tar);
  const type = 'application/vnd.oci.image';
  const layer = await putBlob(layout, `${type}.layer.v1.tar+gzip`, [gzipSync(bytes)]);
  const diffId = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const config = await putJson(layout, `${type}.config.v1+json`, {
    ...hostPlatform(),
    config: { Entrypoint: ['/program'] },
    rootfs: { type: 'layers', diff_ids: [diffId] },
  });
  const mediaType = `${type}.manifest.v1+json`;
  const manifest = { schemaVersion: 2, mediaType, config, layers: [layer] };
  const target = await putJson(layout, mediaType, manifest);
  await addToIndex(layout, { ...target, annotations: { [IMAGE_NAME]: name } });
  const archive = join(folder, `${does}.tar`);
  await toArchive(layout, archive);
  return archive;
}

/** A static program in the smallest form of ELF: headers, one segment, and the code. */
function program(does: 'pause' | 'exit'): Buffer {
  const machine = MACHINE[process.arch];
  if (machine === undefined) throw new Error(`no program for ${process.arch}`);
  const code = Buffer.from(machine[does].replaceAll(' ', ''), 'hex');
  const size = BigInt(HEADERS + code.length);
  const head = Buffer.alloc(HEADERS);
  // ELF header: 64 bits, little endian, executable, entry point behind the headers, one program header.
  Buffer.from('7f454c46020101', 'hex').copy(head);
  head.writeUInt16LE(2, 16);
  head.writeUInt16LE(machine.id, 18);
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(ADDRESS + BigInt(HEADERS), 24);
  head.writeBigUInt64LE(64n, 32);
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(1, 56);
  // Program header: load the whole file, to be read and run.
  head.writeUInt32LE(1, 64);
  head.writeUInt32LE(5, 68);
  head.writeBigUInt64LE(ADDRESS, 64 + 16);
  head.writeBigUInt64LE(ADDRESS, 64 + 24);
  head.writeBigUInt64LE(size, 64 + 32);
  head.writeBigUInt64LE(size, 64 + 40);
  head.writeBigUInt64LE(0x1000n, 64 + 48);
  return Buffer.concat([head, code]);
}
