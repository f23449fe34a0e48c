import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';

import { blobPath } from '../../../scripts/oci-image/oci-layout.ts';
import type { SignedHeads } from '../../harness/signed-heads.ts';

/** Larger blobs are dripped. */
const LARGE = 1_000_000;
/** Bytes of one drop, and the time between two, in milliseconds: fast enough not to be silent. */
const DROP = 200;
const DROP_MS = 100;

/** A registry that takes connections, and says nothing until it has a layout to serve: then it drips large blobs. */
export class DrippingRegistry {
  /** Folder of the OCI layout that it serves, with the right bytes. Default: none. */
  layout: string | undefined;
  readonly #heads: SignedHeads;

  constructor(heads: SignedHeads, port: number) {
    this.#heads = heads;
    createServer((socket) => {
      this.#serve(socket);
    }).listen(port);
  }

  #serve(socket: Socket): void {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      if (this.layout !== undefined) this.#answer(socket, text, this.layout);
      text = '';
    });
  }

  #answer(socket: Socket, head: string, layout: string): void {
    const make = this.#heads.answering(head);
    const [, method = '', digest = ''] = /^(\S+) \S+\/(sha256:[0-9a-f]+)[?\s]/.exec(head) ?? [];
    const bytes = readBlob(layout, digest);
    if (bytes === undefined) {
      socket.write(make(404, { 'content-length': 0 }));
      return;
    }
    const first = /^range: bytes=(\d+)-/im.exec(head)?.[1];
    let position = Number(first ?? 0);
    const fields = {
      'content-length': bytes.length - position,
      'docker-content-digest': digest,
      ...(first !== undefined && {
        'content-range': `bytes ${position}-${bytes.length - 1}/${bytes.length}`,
      }),
    };
    socket.write(make(first === undefined ? 200 : 206, fields));
    if (method !== 'GET') return;
    if (bytes.length <= LARGE) {
      socket.write(bytes.subarray(position));
      return;
    }
    const timer = setInterval(() => {
      socket.write(bytes.subarray(position, (position += DROP)));
      if (position >= bytes.length) clearInterval(timer);
    }, DROP_MS);
    socket.on('close', () => {
      clearInterval(timer);
    });
  }
}

function readBlob(layout: string, digest: string): Buffer | undefined {
  try {
    return readFileSync(blobPath(layout, digest));
  } catch {
    return undefined;
  }
}
