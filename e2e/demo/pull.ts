import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** One blob that was pulled. */
export interface PulledBlob {
  readonly what: string;
  readonly digest: string;
  readonly bytes: number;
  /** `local`, or the base URL of the mirror that sent it. */
  readonly source: string;
  readonly milliseconds: number;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** The parts of the name `registry/repository:tag`. */
export interface ImageName {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
}

/**
 * Pulls an image by the OCI distribution protocol from a mirror, as containerd would, and puts it into an
 * OCI image layout folder. Every byte is checked against its digest.
 */
export async function pullImage(
  mirror: string,
  { registry, repository, tag }: ImageName,
  layout: string,
): Promise<PulledBlob[]> {
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const url = (path: string): string => `${mirror}/v2/${repository}/${path}?ns=${registry}`;

  const head = await fetch(url(`manifests/${tag}`), { method: 'HEAD' });
  const digest = head.headers.get('docker-content-digest');
  if (!head.ok || digest === null) throw new Error(`HEAD ${tag}: status ${head.status}`);

  const pulled = [await pullBlob(url(`manifests/${digest}`), 'manifest', digest, layout)];
  const manifest = (await readJson(join(layout, 'blobs/sha256', digest.slice(7)))) as {
    readonly mediaType: string;
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
  };
  const parts = [
    { what: 'config', ...manifest.config },
    ...manifest.layers.map((layer, index) => ({ what: `layer ${index + 1}`, ...layer })),
  ];
  // containerd pulls three at once, too.
  const queue = parts.values();
  const worker = async (): Promise<void> => {
    for (const part of queue) {
      pulled.push(await pullBlob(url(`blobs/${part.digest}`), part.what, part.digest, layout));
    }
  };
  await Promise.all([worker(), worker(), worker()]);

  const size = Number(head.headers.get('content-length'));
  const annotations = { 'org.opencontainers.image.ref.name': `${registry}/${repository}:${tag}` };
  const entry = { mediaType: manifest.mediaType, digest, size, annotations };
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(
    join(layout, 'index.json.tmp'),
    JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
  );
  await rename(join(layout, 'index.json.tmp'), join(layout, 'index.json'));
  return pulled.sort((a, b) => a.what.localeCompare(b.what, 'en', { numeric: true }));
}

async function pullBlob(
  url: string,
  what: string,
  digest: string,
  layout: string,
): Promise<PulledBlob> {
  const start = performance.now();
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`${what}: status ${response.status}`);
  const hash = createHash('sha256');
  let bytes = 0;
  const file = join(layout, 'blobs/sha256', digest.slice('sha256:'.length));
  await pipeline(
    Readable.fromWeb(response.body),
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        bytes += chunk.length;
        done(null, chunk);
      },
    }),
    createWriteStream(`${file}.tmp`),
  );
  const milliseconds = performance.now() - start;
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== digest) throw new Error(`${what}: bytes are ${found}, not ${digest}`);
  await rename(`${file}.tmp`, file);
  const source = response.headers.get('x-peerglass-source') ?? 'unknown';
  return { what, digest, bytes, source, milliseconds };
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8')) as unknown;
}
