import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { toArchive } from '../../scripts/image/archive.ts';
import {
  addToIndex,
  IMAGE_NAME,
  initLayout,
  putBlob,
  putJson,
} from '../../scripts/image/oci-layout.ts';
import { hostPlatform } from '../images/image.ts';
import { PAUSE_IMAGE } from './containerd-config.ts';

const MACHINE: Partial<
  Record<NodeJS.Architecture, { readonly id: number; readonly code: string }>
> = {
  // mov eax, SYS_pause; syscall; jmp to the start
  x64: { id: 62, code: 'b822000000 0f05 ebf7' },
  // x0 to x3 = 0; x8 = SYS_ppoll; svc 0; b to the start
  arm64: { id: 183, code: '000080d2 010080d2 020080d2 030080d2 280980d2 010000d4 faffff17' },
};

const HEADERS = 64 + 56;
const ADDRESS = 0x400000n;

/**
 * An image with one program that does nothing for ever, packed for `ctr image import`. It is what Kubernetes' own
 * does, which no package has, but for the reaping of orphans.
 *
 * @param folder receives it
 */
export async function makePauseImage(folder: string): Promise<string> {
  const layout = join(folder, 'pause');
  await initLayout(layout);
  const tar = pack();
  tar.entry({ name: 'pause', mode: 0o755 }, pauseProgram());
  tar.finalize();
  const bytes = await buffer(tar);
  const type = 'application/vnd.oci.image';
  const layer = await putBlob(layout, `${type}.layer.v1.tar+gzip`, [gzipSync(bytes)]);
  const diffId = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const config = await putJson(layout, `${type}.config.v1+json`, {
    ...hostPlatform(),
    config: { Entrypoint: ['/pause'] },
    rootfs: { type: 'layers', diff_ids: [diffId] },
  });
  const mediaType = `${type}.manifest.v1+json`;
  const manifest = { schemaVersion: 2, mediaType, config, layers: [layer] };
  const target = await putJson(layout, mediaType, manifest);
  await addToIndex(layout, { ...target, annotations: { [IMAGE_NAME]: PAUSE_IMAGE } });
  const archive = join(folder, 'pause.tar');
  await toArchive(layout, archive);
  return archive;
}

/** A static program in the smallest form of ELF: headers, one segment, and the code. */
function pauseProgram(): Buffer {
  const machine = MACHINE[process.arch];
  if (machine === undefined) throw new Error(`no pause for ${process.arch}`);
  const code = Buffer.from(machine.code.replaceAll(' ', ''), 'hex');
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
